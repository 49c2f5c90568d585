//! Lists that people search, sort and leaf through.

use serde::Deserialize;

/// How many rows a page shows.
pub(super) const PAGE_SIZE: usize = 100;

/// What the address of a list asks for.
#[derive(Deserialize, Default, Clone)]
#[serde(default)]
pub(super) struct Asked {
    pub(super) q: String,
    /// A column's name, with `-` before it for the greatest first.
    pub(super) sort: String,
    pub(super) page: String,
    /// What was just done, by a word.
    pub(super) done: String,
}

impl Asked {
    /// The text to search for; none, if it is blank.
    pub(super) fn searched(&self) -> Option<String> {
        Some(self.q.trim().chars().take(255).collect()).filter(|text: &String| !text.is_empty())
    }
}

/// By which column, and in which order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Sort {
    pub(super) by: &'static str,
    pub(super) descending: bool,
}

impl Sort {
    /// What was asked for if it is one of these, else the first of them.
    pub(super) fn asked(text: &str, columns: &[&'static str]) -> Self {
        let (name, descending) = text.strip_prefix('-').map_or((text, false), |name| (name, true));
        match columns.iter().find(|column| **column == name) {
            Some(by) => Self { by, descending },
            None => Self { by: columns.first().copied().unwrap_or_default(), descending: false },
        }
    }

    pub(super) fn text(self) -> String {
        format!("{}{}", if self.descending { "-" } else { "" }, self.by)
    }
}

/// A column's head.
pub(super) struct Head {
    pub(super) title: &'static str,
    pub(super) href: Option<String>,
    /// As `aria-sort` says it, if the list is sorted by it.
    pub(super) order: Option<&'static str>,
}

/// Heads of columns; those with a name can be sorted by.
pub(super) fn heads(
    path: &str,
    asked: &Asked,
    sort: Sort,
    columns: &[(&'static str, Option<&'static str>)],
) -> Vec<Head> {
    let head = |(title, name): &(&'static str, Option<&'static str>)| {
        let Some(name) = *name else { return Head { title, href: None, order: None } };
        let here = sort.by == name;
        let next = Sort { by: name, descending: here && !sort.descending };
        let order = here.then_some(if sort.descending { "descending" } else { "ascending" });
        Head { title, href: Some(address(path, &[("q", &asked.q), ("sort", &next.text())])), order }
    };
    columns.iter().map(head).collect()
}

/// An address with these parameters, without the empty ones.
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

/// Which rows are shown.
pub(super) struct Paging {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) total: usize,
    pub(super) last: usize,
    pub(super) previous: Option<String>,
    pub(super) next: Option<String>,
}

impl Paging {
    pub(super) fn of(total: usize, size: usize, asked: &str, href: impl Fn(&str) -> String) -> Self {
        let last = total.div_ceil(size).max(1);
        let page = asked.parse().unwrap_or(1).clamp(1, last);
        let (from, to) = ((page - 1) * size, (page * size).min(total));
        let at = |page: usize| href(&page.to_string());
        Self {
            from: from + 1,
            to,
            total,
            last,
            previous: (page > 1).then(|| at(page - 1)),
            next: (page < last).then(|| at(page + 1)),
        }
    }

    /// The part of all rows that is shown.
    pub(super) fn part<T>(&self, rows: Vec<T>) -> Vec<T> {
        rows.into_iter().skip(self.from - 1).take(self.to + 1 - self.from).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_beyond_the_last_is_the_last() {
        let paging = Paging::of(250, 100, "9", |page| page.to_owned());
        assert_eq!((paging.from, paging.to, paging.last), (201, 250, 3));
        assert_eq!((paging.previous.as_deref(), paging.next.as_deref()), (Some("2"), None));
        assert_eq!(paging.part((1..=250).collect::<Vec<_>>()).len(), 50);
        let none = Paging::of(0, 100, "x", |page| page.to_owned());
        assert_eq!((none.from, none.to, none.part(Vec::<u8>::new()).len()), (1, 0, 0));
    }

    #[test]
    fn what_people_search_for_stays_one_parameter() {
        assert_eq!(address("/x", &[("q", "a&b=ü"), ("sort", "")]), "/x?q=a%26b%3D%C3%BC");
    }
}
