//! The grammar of constraints, in one scan.

use semver::{Prerelease, Version};

use super::{
    Constraint,
    comparator::{Comparator, Operator, Precision},
};
use crate::error::{Fault, ParseErrorKind};

pub(super) fn constraint(text: &str) -> Result<Constraint, Fault> {
    if text.len() > Constraint::MAX_LEN {
        let end = (0..=Constraint::MAX_LEN).rev().find(|at| text.is_char_boundary(*at));
        return Err(Fault::new(ParseErrorKind::ConstraintTooLong, end.unwrap_or(0)));
    }
    // White space is what Go's regular expressions have as `\s`; there are more kinds of it.
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let shown = if words.is_empty() { "*".to_owned() } else { words.join(" ") };
    let source = if words.is_empty() { &shown } else { text };
    let mut scan = Scan { text: source, at: 0, comparators: 0 };
    let groups = scan.groups()?;
    Ok(Constraint { text: shown.into(), groups: groups.into() })
}

/// A place in a text, before which all is right.
struct Scan<'a> {
    text: &'a str,
    at: usize,
    comparators: usize,
}

/// A version as far as it is given.
struct Given {
    version: Version,
    precision: Precision,
}

/// Those of two characters come first, as they begin like others.
const OPERATORS: [(&str, Operator); 11] = [
    ("!=", Operator::NotEqual),
    (">=", Operator::GreaterOrEqual),
    ("=>", Operator::GreaterOrEqual),
    ("<=", Operator::LessOrEqual),
    ("=<", Operator::LessOrEqual),
    ("~>", Operator::Tilde),
    ("=", Operator::Equal),
    (">", Operator::Greater),
    ("<", Operator::Less),
    ("~", Operator::Tilde),
    ("^", Operator::Caret),
];

impl<'a> Scan<'a> {
    fn groups(&mut self) -> Result<Vec<Box<[Comparator]>>, Fault> {
        let mut groups = vec![self.group()?];
        while self.take("||") {
            groups.push(self.group()?);
        }
        Ok(groups)
    }

    /// The comparators up to `||` or the end.
    fn group(&mut self) -> Result<Box<[Comparator]>, Fault> {
        let mut group = Vec::new();
        self.space();
        loop {
            self.comparators(&mut group)?;
            let spaced = self.space();
            if self.take(",") {
                self.space();
            } else if self.rest().is_empty() || self.rest().starts_with("||") {
                return Ok(group.into());
            } else if !spaced {
                return Err(self.fault(ParseErrorKind::ExpectedSeparator));
            }
        }
    }

    /// One comparator, or the two that a range stands for.
    fn comparators(&mut self, group: &mut Vec<Comparator>) -> Result<(), Fault> {
        let start = self.at;
        let operator = OPERATORS.into_iter().find(|(text, _)| self.take(text)).map(|(_, operator)| operator);
        self.space();
        let given = self.version()?;
        if operator.is_none() && self.dash() {
            self.push(group, start, Operator::GreaterOrEqual, given)?;
            let end = self.version()?;
            return self.push(group, start, Operator::LessOrEqual, end);
        }
        self.push(group, start, operator.unwrap_or(Operator::Equal), given)
    }

    fn push(
        &mut self,
        group: &mut Vec<Comparator>,
        start: usize,
        operator: Operator,
        Given { version, precision }: Given,
    ) -> Result<(), Fault> {
        self.comparators += 1;
        if self.comparators > Constraint::MAX_COMPARATORS {
            return Err(Fault::new(ParseErrorKind::TooManyComparators, start));
        }
        group.push(Comparator { operator, version, precision });
        Ok(())
    }

    /// Goes past a `-` between white space, which makes a range, or stays.
    fn dash(&mut self) -> bool {
        let start = self.at;
        let is_dash = self.space() && self.take("-") && self.space();
        if !is_dash {
            self.at = start;
        }
        is_dash
    }

    fn version(&mut self) -> Result<Given, Fault> {
        self.take("v");
        let mut numbers = [0; 3];
        let mut given = 0;
        for (index, number) in numbers.iter_mut().enumerate() {
            if index > 0 && !self.take(".") {
                break;
            }
            let expected = if index == 0 { ParseErrorKind::ExpectedVersion } else { ParseErrorKind::ExpectedNumber };
            let start = self.at;
            let digits = self.number(expected)?;
            // What follows a wildcard makes no difference.
            if given == index && !digits.is_empty() {
                let fault = || Fault::new(ParseErrorKind::NumberTooBig, start);
                *number = digits.parse().ok().ok_or_else(fault)?;
                given += 1;
            }
        }
        let [major, minor, patch] = numbers;
        let precision = [Precision::Nothing, Precision::Major, Precision::Minor, Precision::Patch][given];
        let pre = self.prerelease()?;
        self.build()?;
        Ok(Given { version: Version { pre, ..Version::new(major, minor, patch) }, precision })
    }

    /// Digits, or none for a wildcard.
    fn number(&mut self, expected: ParseErrorKind) -> Result<&'a str, Fault> {
        let digits = self.run(|byte| byte.is_ascii_digit());
        let is_there = !digits.is_empty() || ["x", "X", "*"].iter().any(|wildcard| self.take(wildcard));
        if is_there { Ok(digits) } else { Err(self.fault(expected)) }
    }

    fn prerelease(&mut self) -> Result<Prerelease, Fault> {
        if !self.take("-") {
            return Ok(Prerelease::EMPTY);
        }
        let start = self.at;
        let has_leading_zero = |identifier: &str| {
            identifier.len() > 1 && identifier.starts_with('0') && identifier.bytes().all(|byte| byte.is_ascii_digit())
        };
        let text = self.identifiers(ParseErrorKind::InvalidPrerelease, has_leading_zero)?;
        Prerelease::new(text).ok().ok_or_else(|| Fault::new(ParseErrorKind::InvalidPrerelease, start))
    }

    /// Goes past build metadata, which no comparison looks at.
    fn build(&mut self) -> Result<(), Fault> {
        if self.take("+") {
            self.identifiers(ParseErrorKind::InvalidBuild, |_| false)?;
        }
        Ok(())
    }

    /// Letters, digits and `-`, divided by dots; each is looked at by `is_wrong`.
    fn identifiers(&mut self, kind: ParseErrorKind, is_wrong: impl Fn(&str) -> bool) -> Result<&'a str, Fault> {
        let start = self.at;
        let text = self.run(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
        let mut at = start;
        for identifier in text.split('.') {
            if identifier.is_empty() || is_wrong(identifier) {
                return Err(Fault::new(kind, at));
            }
            at += identifier.len() + 1;
        }
        Ok(text)
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn fault(&self, kind: ParseErrorKind) -> Fault {
        Fault::new(kind, self.at)
    }

    /// Goes past `text`, if that comes next.
    fn take(&mut self, text: &str) -> bool {
        let is_next = self.rest().starts_with(text);
        self.at += if is_next { text.len() } else { 0 };
        is_next
    }

    /// Goes past white space, and says whether there was any.
    fn space(&mut self) -> bool {
        !self.run(|byte| byte.is_ascii_whitespace()).is_empty()
    }

    /// Goes past all ASCII that `is_such`.
    fn run(&mut self, is_such: impl Fn(u8) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.bytes().position(|byte| !is_such(byte)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }
}
