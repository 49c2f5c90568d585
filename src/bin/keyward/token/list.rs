//! `keyward token list`.

use super::TokenShape;
use crate::context::{Access, Context};
use crate::failure::Failure;
use crate::lifespan::to_second_or;
use crate::output::table;
use crate::reference::{find_owner, owner_text};
use clap::{Args, ValueEnum};
use keyward::Keyward;
use keyward::admin::DescribedToken;
use keyward::store::{Paging, TokenQuery, TokenSort};
use keyward::token::TokenKind;

#[derive(Args)]
pub(crate) struct List {
    /// Only tokens of this kind.
    #[arg(long)]
    kind: Option<Kind>,
    /// Only admin tokens of this owner: the id, the e-mail address of a person, or the name of a service.
    #[arg(long, conflicts_with = "kind")]
    owner: Option<String>,
    /// Only tokens whose name, description or owner contains this text.
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// The most tokens to list.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    limit: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Admin,
    Content,
}

impl List {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let keyward = context.open(Access::Read).await?;
        let owner = match &self.owner {
            Some(text) => Some(find_owner(keyward, text).await?.id),
            None => None,
        };
        let kinds: &[TokenKind] = match (self.kind, owner) {
            (Some(Kind::Admin), _) | (_, Some(_)) => &[TokenKind::Admin],
            (Some(Kind::Content), _) => &[TokenKind::Content],
            (None, None) => &[TokenKind::Admin, TokenKind::Content],
        };
        let (mut tokens, mut total) = (Vec::new(), 0);
        for kind in kinds {
            let query = TokenQuery { owner, search: self.search.clone(), sort: TokenSort::Id, ..TokenQuery::of(*kind) };
            total += read(keyward, query, self.limit, &mut tokens).await?;
        }
        let rows: Vec<TokenShape> = tokens.iter().map(TokenShape::from).collect();
        let lines = |_: &Vec<TokenShape>| {
            let cells: Vec<_> = tokens.iter().map(row).collect();
            table(["ID", "KIND", "NAME", "OWNER", "EXPIRES", "LAST USED"], &cells)
        };
        let ids = |rows: &Vec<TokenShape>| {
            let ids: Vec<String> = rows.iter().map(|row| row.id.to_string()).collect();
            (!ids.is_empty()).then(|| ids.join("\n"))
        };
        context.out.print(&rows, lines, ids)?;
        if total > tokens.len() as u64 {
            eprintln!("{} of {total} tokens are listed: raise --limit, or use --search", tokens.len());
        }
        Ok(())
    }
}

/// Reads pages until `tokens` has `limit` entries. Returns the number of all tokens of the query.
async fn read(
    keyward: &Keyward,
    mut query: TokenQuery,
    limit: usize,
    tokens: &mut Vec<DescribedToken>,
) -> Result<u64, Failure> {
    query.paging = Paging { page: 1, page_size: Paging::LARGEST };
    loop {
        let page = keyward.tokens().list(&query).await?;
        let size = page.items.len();
        tokens.extend(page.items);
        if tokens.len() >= limit || size < Paging::LARGEST as usize {
            tokens.truncate(limit);
            return Ok(page.total);
        }
        query.paging.page += 1;
    }
}

fn row(described: &DescribedToken) -> [String; 6] {
    let token = &described.token;
    [
        token.id.to_string(),
        token.kind().as_str().to_owned(),
        token.name.clone(),
        described.owner.as_ref().map_or_else(|| "-".to_owned(), owner_text),
        to_second_or(token.expires_at, "never"),
        to_second_or(token.last_used_at, "never"),
    ]
}
