//! How deep a script nests, guessed before it is parsed: the parser calls itself for what is nested,
//! and no text may use up its stack.

use ruff_python_ast::token::TokenKind;
use ruff_python_parser::{Mode, lexer::lex};

use crate::{Policy, Refused, Rule};

/// The most tokens of one piece of a statement between commas, with those of all that it stands in:
/// no tree of such a piece is deeper.
pub const MAX_TOKENS: usize = 1000;
/// How many tokens there can be for each node: brackets, commas and colons come on top.
const TOKENS_PER_NODE: u64 = 10;
/// What one level of indentation, or a lambda, counts for: the parser calls itself a few times.
const WEIGHT: usize = 4;

/// What is open at one place of the text.
#[derive(Default)]
struct Level {
    /// Tokens since the last comma.
    tokens: usize,
    /// Lambdas, whose parameters have commas of their own.
    lambdas: usize,
    /// The bracket that ends it.
    end: Option<TokenKind>,
}

/// Refuses a text whose tree may be too deep, or which has far more tokens than its tree may have
/// nodes.
pub fn check(text: &str, policy: &Policy) -> Option<Refused> {
    let mut lexer = lex(text, Mode::Module);
    let mut levels = vec![Level::default()];
    // Tokens in all the levels below the topmost.
    let mut below = 0;
    let mut indents = 0usize;
    let mut count = 0;
    loop {
        let kind = lexer.next_token();
        let is_open = levels.len() > 1;
        let top = levels.last_mut()?;
        match kind {
            TokenKind::EndOfFile => return None,
            TokenKind::Comment | TokenKind::NonLogicalNewline => continue,
            TokenKind::Indent => indents += 1,
            TokenKind::Dedent => indents = indents.saturating_sub(1),
            TokenKind::Newline | TokenKind::Semi if !is_open => *top = Level::default(),
            TokenKind::Comma => top.tokens = 0,
            TokenKind::Lpar | TokenKind::Lsqb | TokenKind::Lbrace => {
                top.tokens += 1;
                below += top.tokens + top.lambdas;
                levels.push(Level { end: closing(kind), ..Level::default() });
            }
            // One that fits nothing closes nothing: the parser will say so.
            kind if top.end == Some(kind) => {
                levels.pop();
                let under = levels.last()?;
                below -= under.tokens + under.lambdas;
            }
            TokenKind::Lambda => top.lambdas += WEIGHT,
            _ => top.tokens += 1,
        }
        count += 1;
        let top = levels.last()?;
        if below + top.tokens + top.lambdas + indents * WEIGHT > MAX_TOKENS {
            let message = format!(
                "an expression of more than {MAX_TOKENS} words and signs without a comma, or a \
                 bracket that is never closed"
            );
            return Some(Refused::new(0, Rule::Depth, message, "split it into steps"));
        }
        if count > policy.nodes.saturating_mul(TOKENS_PER_NODE) {
            let message = format!("the script has more than {} syntax nodes", policy.nodes);
            return Some(Refused::new(0, Rule::Nodes, message, "shorten it, or read its data"));
        }
    }
}

const fn closing(kind: TokenKind) -> Option<TokenKind> {
    match kind {
        TokenKind::Lpar => Some(TokenKind::Rpar),
        TokenKind::Lsqb => Some(TokenKind::Rsqb),
        TokenKind::Lbrace => Some(TokenKind::Rbrace),
        _ => None,
    }
}
