//! The few words in which the dialects differ.

/// SQLite's words: an array of what is aggregated; an object; whether JSON text is JSON, not a string, inside another; the
/// elements of the array in a parameter as rows `e(key, value)`, counted from 0; whether a parameter's text is in a column, in
/// any case; the time; who answers; which
/// installation.
#[cfg(feature = "sqlite")]
macro_rules! sqlite {
    (array $($content:tt)*) => {
        concat!("json_group_array(", $($content)*, ")")
    };
    (object) => {
        "json_object"
    };
    (json) => {
        "json"
    };
    (elements $parameter:literal) => {
        concat!("json_each(", $parameter, ") AS e")
    };
    // A column that holds a JSON document, to be asked for a member.
    (document $column:literal) => {
        $column
    };
    (within $column:literal, $parameter:literal) => {
        concat!("instr(lower(", $column, "), lower(", $parameter, ")) > 0")
    };
    // The same with any text.
    (contains $column:literal, $($text:tt)*) => {
        concat!("instr(lower(", $column, "), lower(", $($text)*, ")) > 0")
    };
    // SQLite is never asked for the time.
    (now) => {
        "0"
    };
    // Who it is that answers: a file is nobody.
    (who) => {
        "0 AS server"
    };
    // A file is recognised by what it is.
    (installation) => {
        ""
    };
}
#[cfg(feature = "strapi")]
pub(in crate::store) use sqlite as sqlite_words;

/// PostgreSQL's.
#[cfg(feature = "postgres")]
macro_rules! postgres {
    (array $($content:tt)*) => {
        concat!("COALESCE(json_agg(", $($content)*, "), '[]')")
    };
    (object) => {
        "json_build_object"
    };
    (json) => {
        ""
    };
    (elements $parameter:literal) => {
        concat!(
            "(SELECT a.n - 1 AS key, a.value FROM json_array_elements(CAST(",
            $parameter,
            " AS JSON)) WITH ORDINALITY AS a (value, n)) AS e"
        )
    };
    (document $column:literal) => {
        concat!("CAST(", $column, " AS JSON)")
    };
    (within $column:literal, $parameter:literal) => {
        concat!("strpos(lower(", $column, "), lower(CAST(", $parameter, " AS TEXT) COLLATE \"C\")) > 0")
    };
    (contains $column:literal, $($text:tt)*) => {
        concat!("strpos(lower(", $column, "), lower(CAST(", $($text)*, " AS TEXT) COLLATE \"C\")) > 0")
    };
    (now) => {
        "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"
    };
    // Two servers did not start at the same moment.
    (who) => {
        concat!(
            "CAST(EXTRACT(EPOCH FROM pg_postmaster_start_time()) * 1000000 AS BIGINT) AS server, ",
            "pg_is_in_recovery() AS replica"
        )
    };
    // Which installation the epoch's row belongs to. Only that table has such a column.
    (installation) => {
        ", installation"
    };
}
#[cfg(feature = "strapi")]
pub(in crate::store) use postgres as postgres_words;
