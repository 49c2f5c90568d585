//! Parses the command line.

use std::time::Duration;

pub(crate) const USAGE: &str = "\
Measures how long a revocation takes between nodes on one PostgreSQL database, each with its own cache.

Usage: keyward-chaos [OPTIONS]

  --nodes N          number of nodes, 2 to 8 [3; with --chaos 2]
  --database URL     the PostgreSQL to use: postgres://USER@HOST/DATABASE, for trials. Without it, a server is started
  --strict           use a bound of 500 ms instead of 2 s
  --chaos            inject faults while measuring, and end with a table. Only the started server is broken
  --only FAULT       with --chaos: only this fault, by the start of its name
  --seconds N        with --chaos: duration of each fault, 3 to 3600 [4]
  --seed N           with --chaos: seed of random choices [1]. Runs still differ, as scheduling does
  --seeded-bug NAME  with --chaos: nodes with a bug, which must be detected. deaf: changes of others are not read.
                     hoarding: reads of the store are reused for 5 s.
                     leaseless: a log that cannot be read is taken for one without changes
  --help             print this

KEYWARD_TEST_POSTGRES names a server to use, like --database, on machines without PostgreSQL's programs.";

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) nodes: usize,
    pub(crate) database: Option<String>,
    pub(crate) strict: bool,
    pub(crate) chaos: Option<Chaos>,
}

#[derive(Debug)]
pub(crate) struct Chaos {
    pub(crate) only: Option<String>,
    pub(crate) lasting: Duration,
    pub(crate) seed: u64,
    pub(crate) bug: Option<Bug>,
}

/// A seeded bug of a node.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bug {
    Deaf,
    Hoarding,
    Leaseless,
}

impl Bug {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Deaf => "deaf",
            Self::Hoarding => "hoarding",
            Self::Leaseless => "leaseless",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Deaf, Self::Hoarding, Self::Leaseless].into_iter().find(|bug| bug.name() == name)
    }
}

pub(crate) enum Stop {
    Help,
    Wrong(String),
}

impl Options {
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self, Stop> {
        let (mut nodes, mut database, mut strict, mut chaos) = (None, None, false, false);
        let (mut only, mut seconds, mut seed, mut bug) = (None, None, None, None);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| Stop::Wrong(format!("{word} needs a value; see --help")));
            match &*word {
                "--help" | "-h" => return Err(Stop::Help),
                "--nodes" => nodes = Some(number(&word, &value()?, 2, 8)? as usize),
                "--database" => database = Some(value()?),
                "--strict" => strict = true,
                "--chaos" => chaos = true,
                "--only" => only = Some(value()?),
                "--seconds" => seconds = Some(number(&word, &value()?, 3, 3600)?),
                "--seed" => seed = Some(number(&word, &value()?, 0, u64::MAX)?),
                "--seeded-bug" => {
                    let name = value()?;
                    let known = Bug::named(&name);
                    bug = Some(
                        known.ok_or_else(|| Stop::Wrong(format!("--seeded-bug: there is no {name:?}; see --help")))?,
                    );
                }
                _ => return Err(Stop::Wrong(format!("{word:?} is not an option; see --help"))),
            }
        }
        if chaos && database.is_some() {
            return Err(Stop::Wrong("--chaos breaks its server, so it starts one: leave out --database".into()));
        }
        if !chaos && (only.is_some() || seconds.is_some() || seed.is_some() || bug.is_some()) {
            return Err(Stop::Wrong("--only, --seconds, --seed and --seeded-bug go with --chaos".into()));
        }
        let lasting = Duration::from_secs(seconds.unwrap_or(4));
        let chaos = chaos.then(|| Chaos { only, lasting, seed: seed.unwrap_or(1), bug });
        let nodes = nodes.unwrap_or(if chaos.is_some() { 2 } else { 3 });
        Ok(Self { nodes, database, strict, chaos })
    }
}

fn number(option: &str, text: &str, least: u64, most: u64) -> Result<u64, Stop> {
    let parsed = text.parse().ok().filter(|n| (least..=most).contains(n));
    parsed.ok_or_else(|| Stop::Wrong(format!("{option}: {text:?} is not a number from {least} to {most}")))
}
