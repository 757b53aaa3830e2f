//! `network_route`: the routes of the host (ip-route(8)).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use async_trait::async_trait;

use super::netlink::{Answer, Attributes, dump, links, number};
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

/// `RTM_GETROUTE` with its `struct rtmsg`, and the type of a route to another host.
const GET: u16 = 26;
const HEADER: usize = 12;
const UNICAST: u8 = 1;

/// The attributes of a route (linux/rtnetlink.h).
const DESTINATION: u16 = 1;
const DEVICE: u16 = 4;
const GATEWAY: u16 = 5;
const PRIORITY: u16 = 6;
const SOURCE: u16 = 7;
const MULTIPATH: u16 = 9;

/// `struct rtnexthop`, with its own attributes behind it.
const HOP: usize = 8;

static INFO: Desc = Desc::gauge(
    "node_network_route_info",
    "network routing table information",
    &["device", "src", "dest", "gw", "priority", "proto", "weight"],
);
static ROUTES: Desc = Desc::gauge("node_network_routes", "network routes by interface", &["device"]);

pub(super) struct Routes;

/// One way to a destination; a route with several has one of these for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Route {
    device: u32,
    source: String,
    destination: String,
    gateway: String,
    priority: u32,
    protocol: u8,
    weight: String,
}

impl Listed for Routes {
    fn descs() -> Vec<&'static Desc> {
        vec![&INFO, &ROUTES]
    }

    fn new(_site: &Site<'_>) -> Self {
        Self
    }
}

#[async_trait]
impl Part for Routes {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let links = links()?;
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        // Two tables may hold the same route.
        let mut written = BTreeSet::new();
        for route in routes(&dump(GET, HEADER)?) {
            let device = links.get(&route.device).map_or("", String::as_str);
            *counts.entry(device).or_default() += 1;
            let priority = route.priority.to_string();
            let rest = [&route.source, &route.destination, &route.gateway, &priority].map(String::as_str);
            let labels = [device, rest[0], rest[1], rest[2], rest[3], protocol(route.protocol), route.weight.as_str()];
            if written.insert(labels.map(str::to_owned)) {
                run.batch.push(&INFO, &labels, 1.0);
            }
        }
        for (device, count) in counts {
            run.batch.push(&ROUTES, &[device], f64::from(count));
        }
        Ok(())
    }
}

fn routes(answer: &Answer) -> Vec<Route> {
    answer.messages().filter_map(|(_, payload)| route(payload)).flatten().collect()
}

fn route(payload: &[u8]) -> Option<Vec<Route>> {
    let (header, attributes) = payload.split_at_checked(HEADER)?;
    let (length, protocol, kind) = (*header.get(1)?, *header.get(5)?, *header.get(7)?);
    if kind != UNICAST {
        return None;
    }
    let mut route = Route { protocol, destination: "default".to_owned(), ..Route::default() };
    let mut hops = Vec::new();
    for (kind, value) in Attributes(attributes) {
        match kind {
            DESTINATION if length > 0 => route.destination = format!("{}/{length}", address(value)),
            DEVICE => route.device = number(value).unwrap_or_default(),
            GATEWAY => route.gateway = address(value),
            PRIORITY => route.priority = number(value).unwrap_or_default(),
            SOURCE => route.source = address(value),
            MULTIPATH => hops = self::hops(value),
            _ => {}
        }
    }
    if hops.is_empty() {
        return Some(vec![route]);
    }
    let way = |(device, gateway, weight)| Route { device, gateway, weight, ..route.clone() };
    Some(hops.into_iter().map(way).collect())
}

/// The device, gateway and weight of each of several ways.
fn hops(mut bytes: &[u8]) -> Vec<(u32, String, String)> {
    let mut hops = Vec::new();
    while let Some((header, _)) = bytes.split_at_checked(HOP) {
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let Some(attributes) = bytes.get(HOP..length) else { break };
        let gateway = Attributes(attributes).find(|(kind, _)| *kind == GATEWAY);
        let gateway = gateway.map(|(_, value)| address(value)).unwrap_or_default();
        let device = header.get(4..).and_then(number).unwrap_or_default();
        hops.push((device, gateway, (u32::from(header[3]) + 1).to_string()));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    hops
}

/// An address of either kind; what is none is empty.
fn address(bytes: &[u8]) -> String {
    let address = <[u8; 4]>::try_from(bytes).map(|bytes| IpAddr::from(Ipv4Addr::from(bytes)));
    let address = address.or_else(|_| <[u8; 16]>::try_from(bytes).map(|bytes| IpAddr::from(Ipv6Addr::from(bytes))));
    address.map(|address| address.to_string()).unwrap_or_default()
}

/// Who made a route (`rt_protos` of iproute2), by node_exporter's names.
fn protocol(number: u8) -> &'static str {
    match number {
        0 => "unspec",
        1 => "redirect",
        2 => "kernel",
        3 => "boot",
        4 => "static",
        8 => "gated",
        9 => "ra",
        10 => "mrt",
        11 => "zebra",
        12 => "bird",
        13 => "dnrouted",
        14 => "xorp",
        15 => "ntk",
        16 => "dhcp",
        17 => "mrouted",
        42 => "babel",
        186 => "bgp",
        187 => "isis",
        188 => "ospf",
        189 => "rip",
        192 => "eigrp",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::super::netlink::recorded::{answer, attribute};
    use super::*;

    fn message(length: u8, protocol: u8, kind: u8, attributes: &[Vec<u8>]) -> (u16, Vec<u8>) {
        let mut bytes = vec![2, length, 0, 0, 254, protocol, 0, kind, 0, 0, 0, 0];
        bytes.extend(attributes.concat());
        (24, bytes)
    }

    #[test]
    fn a_route_has_one_way_or_several() {
        let connected = [
            attribute(DESTINATION, &[10, 0, 2, 0]),
            attribute(SOURCE, &[10, 0, 2, 15]),
            attribute(DEVICE, &2_u32.to_ne_bytes()),
            attribute(PRIORITY, &1024_u32.to_ne_bytes()),
        ];
        let hop = |device: u8, weight: u8, gateway: [u8; 4]| {
            let mut bytes = vec![16, 0, 0, weight, device, 0, 0, 0];
            bytes.extend(attribute(GATEWAY, &gateway));
            bytes
        };
        let several = [attribute(MULTIPATH, &[hop(2, 0, [10, 0, 2, 2]), hop(3, 4, [10, 0, 3, 2])].concat())];
        let told =
            answer(&[message(24, 2, UNICAST, &connected), message(0, 16, UNICAST, &several), message(32, 2, 2, &[])]);
        let way = |device, gateway: &str, weight: &str| Route {
            device,
            destination: "default".into(),
            gateway: gateway.into(),
            protocol: 16,
            weight: weight.into(),
            ..Route::default()
        };
        let first = Route {
            device: 2,
            source: "10.0.2.15".into(),
            destination: "10.0.2.0/24".into(),
            priority: 1024,
            protocol: 2,
            ..Route::default()
        };
        assert_eq!(routes(&told), [first, way(2, "10.0.2.2", "1"), way(3, "10.0.3.2", "5")]);
    }

    #[test]
    fn ways_that_are_cut_short_are_left_out() {
        for length in 0..8_u16 {
            let mut bytes = length.to_ne_bytes().to_vec();
            bytes.extend([0; 6]);
            assert_eq!(hops(&bytes), [], "{length}");
        }
    }
}
