//! The modules that are there without any file: those of the original's own example, so that jobs which name them work.

use std::collections::BTreeMap;
use std::path::Path;

use super::foreign::File;
use super::module::Module;
use crate::config::yaml;

const TEXT: &str = r#"
modules:
  http_2xx: { prober: http, http: { preferred_ip_protocol: ip4 } }
  http_post_2xx: { prober: http, http: { method: POST } }
  tcp_connect: { prober: tcp }
  tls_connect: { prober: tls }
  pop3s_banner: { prober: tcp, tcp: { tls: true, query_response: [{ expect: "^\\+OK" }] } }
  grpc: { prober: grpc, grpc: { tls: true, preferred_ip_protocol: ip4 } }
  grpc_plain: { prober: grpc, grpc: { service: service1 } }
  ssh_banner: { prober: tcp, tcp: { query_response: [{ expect: "^SSH-2.0-" }, { send: SSH-2.0-blackbox-ssh-check }] } }
  ssh_banner_extract:
    prober: tcp
    timeout: 5s
    tcp:
      query_response:
        - expect: '^SSH-2.0-([^ -]+)(?: (.*))?$'
          labels: [{ name: ssh_version, value: "${1}" }, { name: ssh_comments, value: "${2}" }]
  irc_banner:
    prober: tcp
    tcp:
      query_response:
        - send: NICK prober
        - send: USER prober prober prober :prober
        - { expect: "PING :([^ ]+)", send: "PONG ${1}" }
        - expect: "^:[^ ]+ 001"
  icmp: { prober: icmp }
  icmp_ttl5: { prober: icmp, timeout: 5s, icmp: { ttl: 5 } }
"#;

pub(super) fn modules() -> BTreeMap<String, Module> {
    // The text is the program's own: a test reads it.
    yaml::parse::<File>(Path::new("defaults"), TEXT).map(|file| file.modules).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::probes::gaps;

    #[test]
    fn the_default_modules_are_read_and_whole() {
        let modules = modules();
        assert_eq!(modules.len(), 12);
        for (name, module) in &modules {
            assert_eq!(gaps::of(module), [], "{name}");
        }
    }
}
