//! Formulas: arithmetic, comparisons, lists and calls, by recursive descent with a bound on depth.
//!
//! ```text
//! formula  = sum [ ("<" | "<=" | ">" | ">=" | "==") sum ]
//! sum      = term { ("+" | "-") term }
//! term     = unary { ("*" | "/") unary }
//! unary    = "-" unary | atom [ "^" unary ]
//! atom     = number | name [ "(" [ argument { "," argument } ] ")" ] | "(" formula ")" | "[" formula { "," formula } "]"
//! argument = [ name "=" ] formula
//! number   = digits with "_" and ".", an exponent, and one of k M B T % behind: 25M, 1.5e3, 20%
//! ```

/// How deep a formula may nest. Enough for any that a person writes; far from the end of the stack.
const DEEPEST: usize = 64;

/// A formula, with byte positions for messages.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    Number(f64),
    Name { name: String, at: usize },
    Call { name: String, arguments: Vec<Argument>, at: usize },
    Negative(Box<Expr>),
    Binary { operator: Operator, left: Box<Expr>, right: Box<Expr>, at: usize },
    Compare { order: Order, left: Box<Expr>, right: Box<Expr> },
    List(Vec<Expr>),
}

/// What stands between the parentheses of a call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Argument {
    pub name: Option<String>,
    pub value: Expr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Plus,
    Minus,
    Times,
    Over,
    Power,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Less,
    AtMost,
    Greater,
    AtLeast,
    Equal,
}

/// Why a formula cannot be read or worked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FormulaError {
    /// Byte position in the formula.
    pub at: usize,
    pub message: String,
    pub hint: Option<String>,
}

impl FormulaError {
    pub fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), hint: None }
    }

    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Expr {
    /// Reads a formula. Errors with the first thing that cannot stand where it does.
    pub fn parse(text: &str) -> Result<Self, FormulaError> {
        let mut parser = Parser { text, at: 0, depth: 0 };
        let formula = parser.formula()?;
        match parser.peek() {
            None => Ok(formula),
            Some(other) => Err(parser.unexpected(other, "an operator or the end")),
        }
    }

    /// Calls `visit` with every name that is not a function, and its position.
    pub fn names<'e>(&'e self, visit: &mut dyn FnMut(&'e str, usize)) {
        match self {
            Self::Number(_) => {}
            Self::Name { name, at } => visit(name, *at),
            Self::Call { arguments, .. } => arguments.iter().for_each(|argument| argument.value.names(visit)),
            Self::Negative(inner) => inner.names(visit),
            Self::Binary { left, right, .. } | Self::Compare { left, right, .. } => {
                left.names(visit);
                right.names(visit);
            }
            Self::List(items) => items.iter().for_each(|item| item.names(visit)),
        }
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next character that is no space.
    fn peek(&mut self) -> Option<char> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
        self.rest().chars().next()
    }

    /// Takes `token` if it comes next.
    fn take(&mut self, token: &str) -> bool {
        self.peek();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn expect(&mut self, token: &str) -> Result<(), FormulaError> {
        if self.take(token) {
            return Ok(());
        }
        Err(match self.peek() {
            Some(other) => self.unexpected(other, &format!("`{token}`")),
            None => FormulaError::new(self.at, format!("the formula ends where `{token}` should stand")),
        })
    }

    fn unexpected(&self, found: char, wanted: &str) -> FormulaError {
        FormulaError::new(self.at, format!("`{found}` stands where {wanted} should"))
    }

    fn formula(&mut self) -> Result<Expr, FormulaError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(FormulaError::new(self.at, format!("nested more than {DEEPEST} deep")));
        }
        let left = self.sum()?;
        // The longer operators first.
        let orders = [
            ("<=", Order::AtMost),
            (">=", Order::AtLeast),
            ("==", Order::Equal),
            ("<", Order::Less),
            (">", Order::Greater),
        ];
        let order = orders.into_iter().find(|(token, _)| self.take(token)).map(|(_, order)| order);
        let formula = match order {
            Some(order) => Expr::Compare { order, left: Box::new(left), right: Box::new(self.sum()?) },
            None => left,
        };
        self.depth -= 1;
        Ok(formula)
    }

    fn sum(&mut self) -> Result<Expr, FormulaError> {
        let mut left = self.term()?;
        loop {
            let operator = match self.peek() {
                Some('+') => Operator::Plus,
                Some('-') => Operator::Minus,
                _ => return Ok(left),
            };
            left = self.binary(operator, left, Self::term)?;
        }
    }

    fn term(&mut self) -> Result<Expr, FormulaError> {
        let mut left = self.unary()?;
        loop {
            let operator = match self.peek() {
                Some('*') => Operator::Times,
                Some('/') => Operator::Over,
                _ => return Ok(left),
            };
            left = self.binary(operator, left, Self::unary)?;
        }
    }

    /// The operator stands next and is one byte long.
    fn binary(
        &mut self,
        operator: Operator,
        left: Expr,
        right: fn(&mut Self) -> Result<Expr, FormulaError>,
    ) -> Result<Expr, FormulaError> {
        let at = self.at;
        self.at += 1;
        Ok(Expr::Binary { operator, left: Box::new(left), right: Box::new(right(self)?), at })
    }

    fn unary(&mut self) -> Result<Expr, FormulaError> {
        if self.take("-") {
            self.depth += 1;
            if self.depth > DEEPEST {
                return Err(FormulaError::new(self.at, format!("nested more than {DEEPEST} deep")));
            }
            let inner = self.unary()?;
            self.depth -= 1;
            return Ok(Expr::Negative(Box::new(inner)));
        }
        let base = self.atom()?;
        match self.peek() {
            Some('^') => {
                self.depth += 1;
                if self.depth > DEEPEST {
                    return Err(FormulaError::new(self.at, format!("nested more than {DEEPEST} deep")));
                }
                let power = self.binary(Operator::Power, base, Self::unary);
                self.depth -= 1;
                power
            }
            _ => Ok(base),
        }
    }

    fn atom(&mut self) -> Result<Expr, FormulaError> {
        match self.peek() {
            Some('(') => {
                self.at += 1;
                let inner = self.formula()?;
                self.expect(")")?;
                Ok(inner)
            }
            Some('[') => {
                self.at += 1;
                let mut items = vec![self.formula()?];
                while self.take(",") {
                    items.push(self.formula()?);
                }
                self.expect("]")?;
                Ok(Expr::List(items))
            }
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            Some(c) if c.is_ascii_alphabetic() || c == '_' => self.name_or_call(),
            Some(other) => Err(self.unexpected(other, "a number, a name or `(`")),
            None => Err(FormulaError::new(self.at, "the formula ends where a number or a name should stand")),
        }
    }

    fn word(&mut self) -> String {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let word = rest.get(..end).unwrap_or_default().to_owned();
        self.at += end;
        word
    }

    fn number(&mut self) -> Result<Expr, FormulaError> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        let mut end = start;
        while digit(end) || matches!(bytes.get(end), Some(b'.' | b'_')) {
            end += 1;
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            if digit(end + 1 + sign) {
                end += 1 + sign;
                while digit(end) {
                    end += 1;
                }
            }
        }
        let digits = self.text.get(start..end).unwrap_or_default().replace('_', "");
        let number: f64 =
            digits.parse().map_err(|_| FormulaError::new(start, format!("`{digits}` is no number")))?;
        self.at = end;
        let scale = match self.rest().chars().next() {
            Some('k') => Some(1e3),
            Some('M') => Some(1e6),
            Some('B') => Some(1e9),
            Some('T') => Some(1e12),
            Some('%') => Some(0.01),
            _ => None,
        };
        self.at += usize::from(scale.is_some());
        match self.rest().chars().next() {
            Some(c) if c.is_ascii_alphanumeric() || c == '_' || c == '.' => {
                Err(FormulaError::new(self.at, format!("`{c}` follows a number"))
                    .with_hint("a product needs `*`; behind a number stand k, M, B, T or %"))
            }
            _ => Ok(Expr::Number(number * scale.unwrap_or(1.0))),
        }
    }

    fn name_or_call(&mut self) -> Result<Expr, FormulaError> {
        let at = self.at;
        let name = self.word();
        if !self.take("(") {
            return Ok(Expr::Name { name, at });
        }
        let mut arguments = Vec::new();
        if self.take(")") {
            return Ok(Expr::Call { name, arguments, at });
        }
        loop {
            arguments.push(self.argument()?);
            if !self.take(",") {
                break;
            }
        }
        self.expect(")")?;
        Ok(Expr::Call { name, arguments, at })
    }

    fn argument(&mut self) -> Result<Argument, FormulaError> {
        self.peek();
        let start = self.at;
        let word = self.word();
        let named = !word.is_empty()
            && !word.starts_with(|c: char| c.is_ascii_digit())
            && self.peek() == Some('=')
            && !self.rest().starts_with("==");
        if named {
            self.at += 1;
        } else {
            self.at = start;
        }
        let value = self.formula()?;
        Ok(Argument { name: named.then_some(word), value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(text: &str) -> (usize, String) {
        let error = Expr::parse(text).expect_err(text);
        (error.at, error.message)
    }

    #[test]
    fn errors_say_where_and_what() {
        for (text, at, message) in [
            ("", 0, "the formula ends where a number or a name should stand"),
            ("1 +", 3, "the formula ends where a number or a name should stand"),
            ("1 2", 2, "`2` stands where an operator or the end should"),
            ("(1", 2, "the formula ends where `)` should stand"),
            ("min(1, ;", 7, "`;` stands where a number, a name or `(` should"),
            ("2 * × 3", 4, "`×` stands where a number, a name or `(` should"),
            ("3R", 1, "`R` follows a number"),
            ("1.2.3", 0, "`1.2.3` is no number"),
            ("a < b < c", 6, "`<` stands where an operator or the end should"),
        ] {
            assert_eq!(failure(text), (at, message.to_owned()), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded_on_every_path() {
        for text in ["(".repeat(100_000), "-".repeat(100_000), "2^".repeat(100_000), "min(".repeat(100_000)] {
            assert!(failure(&text).1.starts_with("nested more than 64 deep"), "{}", failure(&text).1);
        }
        assert!(Expr::parse(&format!("{}1{}", "(".repeat(60), ")".repeat(60))).is_ok());
    }

    #[test]
    fn names_are_found_everywhere_but_functions_are_none() {
        let formula = Expr::parse("min(a, [b, -c]) + cheapest(x = d ^ e) / 2k").unwrap();
        let mut names = Vec::new();
        formula.names(&mut |name, _| names.push(name));
        assert_eq!(names, ["a", "b", "c", "d", "e"]);
    }
}
