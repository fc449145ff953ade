//! Reads Rust source far enough to check its structure: tokens without comments and literals, the paths it names.

/// A token that may matter: a word, `::`, or one character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    /// Counted from 1.
    pub(crate) line: usize,
}

/// Splits source into tokens. Comments vanish; a literal becomes the token `""`.
pub(crate) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = source;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let (length, text) = if first.is_whitespace() {
            (first.len_utf8(), None)
        } else if let Some(length) = comment(rest) {
            (length, None)
        } else if let Some(length) = literal(rest) {
            (length, Some("\"\""))
        } else {
            let length = match rest.find(|c: char| !is_word(c)) {
                Some(0) if rest.starts_with("::") => 2,
                Some(0) => first.len_utf8(),
                Some(length) => length,
                None => rest.len(),
            };
            (length, Some(&rest[..length]))
        };
        tokens.extend(text.map(|text| Token { text, line }));
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of the comment that the text begins with.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    text.strip_prefix("/*")?;
    let (mut depth, mut at) = (0, 0);
    loop {
        match text.as_bytes().get(at..at + 2) {
            Some(b"/*") => (depth, at) = (depth + 1, at + 2),
            Some(b"*/") => (depth, at) = (depth - 1, at + 2),
            Some(_) => at += 1,
            None => return Some(text.len()),
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// The length of the string or character literal that the text begins with.
fn literal(text: &str) -> Option<usize> {
    if text.starts_with('\'') {
        return character(text);
    }
    if let Some(length) = text.strip_prefix('b').and_then(character) {
        return Some(length + 1);
    }
    let start = text.strip_prefix(['b', 'c']).unwrap_or(text);
    let prefix = text.len() - start.len();
    if let Some(raw) = start.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let end = format!("\"{}", "#".repeat(hashes));
        let body = raw[hashes..].strip_prefix('"')?;
        let length = body.find(&end).map_or(body.len(), |at| at + end.len());
        return Some(text.len() - body.len() + length);
    }
    let body = start.strip_prefix('"')?;
    let mut escaped = false;
    let end = body.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    Some(prefix + 1 + end.map_or(body.len(), |at| at + 1))
}

/// The length of a character literal; a lifetime is none.
fn character(text: &str) -> Option<usize> {
    let body = text.strip_prefix('\'')?;
    let mut characters = body.char_indices();
    match characters.next()? {
        (_, '\\') => {
            characters.next();
            let (end, _) = characters.find(|&(_, c)| c == '\'')?;
            Some(end + 2)
        }
        _ => match characters.next()? {
            (end, '\'') => Some(end + 2),
            _ => None,
        },
    }
}

/// Leaves out the items marked `#[cfg(test)]`.
pub(crate) fn without_tests<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let marker = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let window = tokens[at..].iter().map(|token| token.text);
        if window.take(marker.len()).eq(marker) {
            at = end_of_item(tokens, at + marker.len());
        } else {
            kept.push(tokens[at]);
            at += 1;
        }
    }
    kept
}

/// The place behind the item that starts here: after its `;`, or after the `}` of its body.
fn end_of_item(tokens: &[Token<'_>], start: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(start) {
        match token.text {
            "{" | "(" | "[" => depth += 1,
            ")" | "]" => depth -= 1,
            "}" => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// The top modules of the crate that the source names, by `crate::` or by `super::`, and in which line. `module` is the
/// path of the file's own module.
pub(crate) fn used_modules<'a>(module: &[&str], tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut used = Vec::new();
    // For each open brace, whether it belongs to an inline module.
    let mut braces = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at].text {
            "{" => braces.push(at >= 2 && tokens[at - 2].text == "mod"),
            "}" => drop(braces.pop()),
            "crate" => at = root_items(tokens, at + 1, &mut used),
            "super" => {
                let mut depth = module.len() + braces.iter().filter(|inline| **inline).count();
                depth = depth.saturating_sub(1);
                let mut next = at + 1;
                while text(tokens, next) == "::" && text(tokens, next + 1) == "super" {
                    depth = depth.saturating_sub(1);
                    next += 2;
                }
                at = if depth == 0 {
                    root_items(tokens, next, &mut used)
                } else {
                    next
                };
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    used
}

fn text<'a>(tokens: &[Token<'a>], at: usize) -> &'a str {
    tokens.get(at).map_or("", |token| token.text)
}

/// Collects the names behind the crate's root: `::name`, or `::{one, other::..}`. Returns where to go on.
fn root_items<'a>(tokens: &[Token<'a>], at: usize, used: &mut Vec<Token<'a>>) -> usize {
    if text(tokens, at) != "::" {
        return at;
    }
    if text(tokens, at + 1) != "{" {
        used.extend(tokens.get(at + 1));
        return at + 1;
    }
    let mut depth = 0;
    for next in at + 1..tokens.len() {
        match tokens[next].text {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return next;
        }
        if depth == 1 && matches!(tokens[next].text, "{" | ",") && text(tokens, next + 1) != "}" {
            used.extend(tokens.get(next + 1));
        }
    }
    tokens.len()
}

/// What may panic or is not safe, with its line.
pub(crate) fn forbidden<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let found = |at: usize| {
        let (before, after) = (
            at.checked_sub(1).map_or("", |at| text(tokens, at)),
            text(tokens, at + 1),
        );
        match text(tokens, at) {
            "unsafe" => true,
            "unwrap" | "expect" | "unwrap_unchecked" => before == "." && after == "(",
            "panic" | "unreachable" | "todo" | "unimplemented" | "dbg" => after == "!",
            _ => false,
        }
    };
    (0..tokens.len())
        .filter(|at| found(*at))
        .map(|at| tokens[at])
        .collect()
}
