//! Indexes of the search module: `FT._LIST` and `FT.INFO`.

use ::redis::Pipeline;

use super::{Checks, Stopped};
use crate::collect::redis::reply;
use crate::metrics::{Batch, Desc};

/// So many indexes are asked about.
const MOST: usize = 200;

/// Sizes are told in MiB.
const MIB: f64 = 1_048_576.0;

macro_rules! index {
    ($($kind:ident($field:literal => $name:literal, $scale:expr)),* $(,)?) => {
        [$(($field, Desc::$kind($name, concat!("redis_exporter: `", $field, "` of the index."), &["index_name"]), $scale)),*]
    };
}

static FIELDS: [(&str, Desc, f64); 24] = index![
    gauge("num_docs" => "redis_search_index_num_docs", 1.0),
    gauge("max_doc_id" => "redis_search_index_max_doc_id", 1.0),
    gauge("num_terms" => "redis_search_index_num_terms", 1.0),
    gauge("num_records" => "redis_search_index_num_records", 1.0),
    gauge("inverted_sz_mb" => "redis_search_index_inverted_size_bytes", MIB),
    gauge("total_inverted_index_blocks" => "redis_search_index_total_inverted_index_blocks", 1.0),
    gauge("vector_index_sz_mb" => "redis_search_index_vector_index_size_bytes", MIB),
    gauge("offset_vectors_sz_mb" => "redis_search_index_offset_vectors_size_bytes", MIB),
    gauge("doc_table_size_mb" => "redis_search_index_doc_table_size_bytes", MIB),
    gauge("sortable_values_size_mb" => "redis_search_index_sortable_values_size_bytes", MIB),
    gauge("key_table_size_mb" => "redis_search_index_key_table_size_bytes", MIB),
    gauge("tag_overhead_sz_mb" => "redis_search_index_tag_overhead_size_bytes", MIB),
    gauge("text_overhead_sz_mb" => "redis_search_index_text_overhead_size_bytes", MIB),
    gauge("total_index_memory_sz_mb" => "redis_search_index_total_index_memory_size_bytes", MIB),
    gauge("geoshapes_sz_mb" => "redis_search_index_geoshapes_size_bytes", MIB),
    gauge("records_per_doc_avg" => "redis_search_index_avg_per_doc_records", 1.0),
    gauge("bytes_per_record_avg" => "redis_search_index_avg_per_record_bytes", 1.0),
    gauge("offsets_per_term_avg" => "redis_search_index_avg_per_term_offsets", 1.0),
    gauge("offset_bits_per_record_avg" => "redis_search_index_avg_per_record_offset_bits", 1.0),
    gauge("indexing" => "redis_search_index_indexing", 1.0),
    gauge("percent_indexed" => "redis_search_index_percent_indexed", 1.0),
    gauge("hash_indexing_failures" => "redis_search_index_hash_indexing_failures", 1.0),
    counter("number_of_uses" => "redis_search_index_number_of_uses_total", 1.0),
    gauge("cleaning" => "redis_search_index_cleaning", 1.0),
];

pub(super) fn descs() -> impl Iterator<Item = &'static Desc> {
    FIELDS.iter().map(|(_, desc, _)| desc)
}

/// Writes the indexes whose name `check_search_indexes` matches.
pub(super) async fn write(checks: &mut Checks<'_>, batch: &mut Batch) -> Result<bool, Stopped> {
    let Ok(wanted) = regex_lite::Regex::new(&checks.config.check_search_indexes) else { return Ok(false) };
    let mut commands = Pipeline::new();
    commands.cmd("FT._LIST");
    let replies = checks.ask(&commands).await?;
    let Some(list @ ::redis::Value::Array(_)) = replies.first() else { return Ok(false) };
    let names: Vec<_> =
        reply::items(list).iter().filter_map(reply::text).filter(|name| wanted.is_match(name)).collect();
    let mut commands = Pipeline::new();
    for name in names.iter().take(MOST) {
        commands.cmd("FT.INFO").arg(name.as_ref());
    }
    let replies = checks.ask(&commands).await?;
    for (name, about) in names.iter().zip(&replies) {
        let values = reply::pairs(about);
        for (field, desc, scale) in &FIELDS {
            let value = values.iter().find(|(name, _)| name == field);
            if let Some(value) = value.and_then(|(_, value)| reply::number(value)) {
                batch.push(desc, &[name], value * scale);
            }
        }
    }
    Ok(names.len() <= MOST)
}
