//! The words in which the dialects differ.

/// SQLite's words:
///
/// - `array`: the aggregated values as a JSON array; `object`: the function that makes a JSON object; `json`: the
///   function that embeds JSON text.
/// - `elements`: the items of a JSON array parameter as rows `e(key, value)`, counted from 0.
/// - `document`: a JSON column, to read a member of; `text_member`: a member of a JSON column if it is a text, otherwise null.
/// - `within`, `contains`: whether a column contains a parameter, or any text, regardless of case.
/// - `now`: the time; `who`: the server that answers; `installation`: the id of the installation.
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
    (document $column:literal) => {
        $column
    };
    // The operator `->>` reads some names as a path.
    (text_member $column:literal, $($name:tt)*) => {
        concat!(
            "CASE json_type(", $column, ", '$.' || json_quote(", $($name)*, ")) WHEN 'text' THEN ",
            "json_extract(", $column, ", '$.' || json_quote(", $($name)*, ")) END"
        )
    };
    (within $column:literal, $parameter:literal) => {
        concat!("instr(lower(", $column, "), lower(", $parameter, ")) > 0")
    };
    (contains $column:literal, $($text:tt)*) => {
        concat!("instr(lower(", $column, "), lower(", $($text)*, ")) > 0")
    };
    // The time of SQLite stores comes from the program.
    (now) => {
        "0"
    };
    // A file has no server.
    (who) => {
        "0 AS server"
    };
    // A file is identified by device and inode.
    (installation) => {
        ""
    };
}
#[cfg(feature = "strapi")]
pub(in crate::store) use sqlite as sqlite_words;

/// PostgreSQL's words.
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
    (text_member $column:literal, $($name:tt)*) => {
        concat!(
            "CASE json_typeof(CAST(", $column, " AS JSON) -> ", $($name)*, ") WHEN 'string' THEN ",
            "CAST(", $column, " AS JSON) ->> ", $($name)*, " END"
        )
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
    // Only the epoch's table has this column.
    (installation) => {
        ", installation"
    };
}
#[cfg(feature = "strapi")]
pub(in crate::store) use postgres as postgres_words;
