//! The list of the statements.

use crate::Found;

/// A statement that binds a client.
#[derive(Debug)]
pub(crate) struct Statement {
    /// "3.1.1" or "5.0".
    pub(crate) version: String,
    /// As in the standard: "MQTT-3.3.1-1".
    pub(crate) id: String,
    /// What it asks of this client.
    pub(crate) demand: String,
    /// Why it has no test.
    pub(crate) why: Option<Why>,
}

/// Why a statement has no test.
#[derive(Debug)]
pub(crate) enum Why {
    /// This client cannot break it.
    Reason(String),
    /// It is not kept yet.
    Pending(String),
}

impl Statement {
    pub(crate) fn is(&self, found: &Found) -> bool {
        self.version == found.version && self.id == found.id
    }

    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.version, self.id)
    }
}

/// Reads the list; an error names its line.
pub(crate) fn parse(list: &str) -> Result<Vec<Statement>, String> {
    let mut statements: Vec<Statement> = Vec::new();
    for (number, line) in list.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |what: &str| Err(format!("line {}: {what}: {line}", number + 1));
        let fields: Vec<&str> = line.split('|').map(str::trim).collect();
        if fields.contains(&"") || !(3..=4).contains(&fields.len()) {
            return wrong("not three or four fields");
        }
        let (version, id, demand) = (fields[0], fields[1], fields[2]);
        if !matches!(version, "3.1.1" | "5.0") {
            return wrong("the version is 3.1.1 or 5.0");
        }
        if !id.starts_with("MQTT-") {
            return wrong("not a number of a statement");
        }
        if statements
            .iter()
            .any(|other| other.version == version && other.id == id)
        {
            return wrong("the statement is there already");
        }
        let why = fields.get(3).map(|why| match why.strip_prefix("pending:") {
            Some(missing) => Why::Pending(missing.trim().to_owned()),
            None => Why::Reason((*why).to_owned()),
        });
        if matches!(&why, Some(Why::Pending(missing)) if missing.is_empty()) {
            return wrong("what is missing");
        }
        statements.push(Statement {
            version: version.to_owned(),
            id: id.to_owned(),
            demand: demand.to_owned(),
            why,
        });
    }
    Ok(statements)
}
