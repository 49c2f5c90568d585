//! Lists with search, sorting and pages.

use serde::Deserialize;

/// The number of rows on a page.
pub(super) const PAGE_SIZE: usize = 100;

/// The query of a page's address.
#[derive(Deserialize, Default, Clone)]
#[serde(default)]
pub(super) struct PageQuery {
    pub(super) q: String,
    /// A column's name, after a `-` for descending order.
    pub(super) sort: String,
    pub(super) page: String,
    /// The action that led here, which the page confirms.
    pub(super) done: String,
}

impl PageQuery {
    /// Returns the text to search for, unless it is blank.
    pub(super) fn search_text(&self) -> Option<String> {
        Some(self.q.trim().chars().take(255).collect()).filter(|text: &String| !text.is_empty())
    }
}

/// The sort column and the order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Sort {
    pub(super) column: &'static str,
    pub(super) descending: bool,
}

impl Sort {
    /// Parses a sort. An unknown column means the first one.
    pub(super) fn parse(text: &str, columns: &[&'static str]) -> Self {
        let (name, descending) = text.strip_prefix('-').map_or((text, false), |name| (name, true));
        match columns.iter().find(|column| **column == name) {
            Some(column) => Self { column, descending },
            None => Self { column: columns.first().copied().unwrap_or_default(), descending: false },
        }
    }

    pub(super) fn to_param(self) -> String {
        format!("{}{}", if self.descending { "-" } else { "" }, self.column)
    }
}

/// The head of a column.
pub(super) struct ColumnHead {
    pub(super) title: &'static str,
    pub(super) href: Option<String>,
    /// The value of `aria-sort`, if the list is sorted by this column.
    pub(super) order: Option<&'static str>,
}

/// Returns the heads of columns. A column with a name can be sorted by.
pub(super) fn column_heads(
    path: &str,
    query: &PageQuery,
    sort: Sort,
    columns: &[(&'static str, Option<&'static str>)],
) -> Vec<ColumnHead> {
    let head = |(title, name): &(&'static str, Option<&'static str>)| {
        let Some(name) = *name else { return ColumnHead { title, href: None, order: None } };
        let is_current = sort.column == name;
        let next = Sort { column: name, descending: is_current && !sort.descending };
        let order = is_current.then_some(if sort.descending { "descending" } else { "ascending" });
        ColumnHead { title, href: Some(address(path, &[("q", &query.q), ("sort", &next.to_param())])), order }
    };
    columns.iter().map(head).collect()
}

/// Returns an address with these parameters. Empty ones are left out.
pub(super) fn address(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut encoded = String::new();
    for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
        encoded.push(if encoded.is_empty() { '?' } else { '&' });
        encoded.push_str(name);
        encoded.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
                _ => encoded.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    format!("{path}{encoded}")
}

/// The visible part of a list, and links to the next and previous page.
pub(super) struct Pager {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) total: usize,
    pub(super) last: usize,
    pub(super) previous: Option<String>,
    pub(super) next: Option<String>,
}

impl Pager {
    /// Selects the page with this number, as the address gives it. A number after the last page selects the last page.
    pub(super) fn new(total: usize, size: usize, page: &str, href: impl Fn(&str) -> String) -> Self {
        let last = total.div_ceil(size).max(1);
        let page = page.parse().unwrap_or(1).clamp(1, last);
        let (from, to) = ((page - 1) * size, (page * size).min(total));
        let link = |page: usize| href(&page.to_string());
        Self {
            from: from + 1,
            to,
            total,
            last,
            previous: (page > 1).then(|| link(page - 1)),
            next: (page < last).then(|| link(page + 1)),
        }
    }

    /// Cuts the visible rows out of all.
    pub(super) fn cut<T>(&self, rows: Vec<T>) -> Vec<T> {
        rows.into_iter().skip(self.from - 1).take(self.to + 1 - self.from).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_after_the_last_is_the_last() {
        let pager = Pager::new(250, 100, "9", |page| page.to_owned());
        assert_eq!((pager.from, pager.to, pager.last), (201, 250, 3));
        assert_eq!((pager.previous.as_deref(), pager.next.as_deref()), (Some("2"), None));
        assert_eq!(pager.cut((1..=250).collect::<Vec<_>>()).len(), 50);
        let none = Pager::new(0, 100, "x", |page| page.to_owned());
        assert_eq!((none.from, none.to, none.cut(Vec::<u8>::new()).len()), (1, 0, 0));
    }

    #[test]
    fn address_encodes_parameters() {
        assert_eq!(address("/x", &[("q", "a&b=ü"), ("sort", "")]), "/x?q=a%26b%3D%C3%BC");
    }
}
