//! From the text of a template to what is to be done.

use std::{collections::BTreeMap, iter::Peekable, vec};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// A piece of a template.
#[derive(Debug)]
pub enum Node {
    /// What stands outside of actions.
    Text(String),
    /// `{{ expression }}`
    Print(Expression),
    /// `{{ if condition }} then {{ else }} otherwise {{ end }}`
    If { condition: Expression, then: Vec<Node>, otherwise: Vec<Node> },
    /// `{{ with subject }} then {{ else }} otherwise {{ end }}`: `then` has the subject for its dot.
    With { subject: Expression, then: Vec<Node>, otherwise: Vec<Node> },
}

/// What gives a value.
#[derive(Debug)]
pub enum Expression {
    /// A text or a number.
    Constant(Value),
    /// `.a.b`; without any, the dot itself.
    Field(Vec<String>),
    /// A function with its arguments.
    Call(String, Vec<Expression>),
}

type Defined = BTreeMap<String, Vec<Node>>;
type Pieces = Peekable<vec::IntoIter<Piece>>;
type Words<'a> = Peekable<vec::IntoIter<&'a str>>;

/// Text, or the words of an action.
enum Piece {
    Text(String),
    Action(Vec<String>),
}

/// The nodes of a file, and what it defines.
pub fn parse(text: &str) -> Result<(Vec<Node>, Defined)> {
    let mut pieces = pieces(text)?.into_iter().peekable();
    let mut defined = Defined::new();
    let nodes = block(&mut pieces, &mut defined)?;
    ensure!(pieces.next().is_none(), "else or end without if, with or define");
    Ok((nodes, defined))
}

/// Up to `else`, `end` or the end of the text, which stay.
fn block(pieces: &mut Pieces, defined: &mut Defined) -> Result<Vec<Node>> {
    let mut nodes = Vec::new();
    while let Some(piece) = pieces.next_if(|piece| !is_action(piece, "else") && !is_action(piece, "end")) {
        let words = match piece {
            Piece::Text(text) => {
                nodes.push(Node::Text(text));
                continue;
            }
            Piece::Action(words) => words,
        };
        match words.first().map(String::as_str) {
            Some("if") => {
                let (then, otherwise) = branches(pieces, defined)?;
                nodes.push(Node::If { condition: expression(&words[1..])?, then, otherwise });
            }
            Some("with") => {
                let (then, otherwise) = branches(pieces, defined)?;
                nodes.push(Node::With { subject: expression(&words[1..])?, then, otherwise });
            }
            Some("define") => {
                let Expression::Constant(Value::String(name)) = expression(&words[1..])? else {
                    bail!("define wants a name in quotation marks");
                };
                let (inner, otherwise) = branches(pieces, defined)?;
                ensure!(otherwise.is_empty(), "define {name:?} has an else");
                defined.insert(name, inner);
            }
            _ => nodes.push(Node::Print(expression(&words)?)),
        }
    }
    Ok(nodes)
}

fn branches(pieces: &mut Pieces, defined: &mut Defined) -> Result<(Vec<Node>, Vec<Node>)> {
    let then = block(pieces, defined)?;
    let otherwise = match pieces.next_if(|piece| is_action(piece, "else")) {
        Some(Piece::Action(words)) if words.len() > 1 => bail!("else {} is not known", words[1]),
        Some(_) => block(pieces, defined)?,
        None => Vec::new(),
    };
    ensure!(pieces.next().is_some_and(|piece| is_action(&piece, "end")), "an end is missing");
    Ok((then, otherwise))
}

fn is_action(piece: &Piece, name: &str) -> bool {
    matches!(piece, Piece::Action(words) if words.first().is_some_and(|word| word == name))
}

/// Cuts a text at its actions; comments go, and so does the space that they trim.
fn pieces(text: &str) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, action)) = rest.split_once("{{") {
        let (action, after) = action.split_once("}}").context("an action has no end: }}")?;
        let (before, action) = match action.strip_prefix("- ") {
            Some(action) => (before.trim_end(), action),
            None => (before, action),
        };
        let (action, after) = match action.strip_suffix(" -") {
            Some(action) => (action, after.trim_start()),
            None => (action, after),
        };
        pieces.push(Piece::Text(before.to_owned()));
        if !action.trim_start().starts_with("/*") {
            pieces.push(Piece::Action(words(action)?));
        }
        rest = after;
    }
    pieces.push(Piece::Text(rest.to_owned()));
    Ok(pieces)
}

/// Texts with their quotation marks, parentheses, pipes, and what stands between spaces.
fn words(action: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = action.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '(' | ')' | '|' => 1,
            '"' => 2 + rest[1..].find('"').with_context(|| format!("{rest}: the text has no end"))?,
            _ => rest.find(|c: char| c.is_whitespace() || "()|\"".contains(c)).unwrap_or(rest.len()),
        };
        let (word, after) = rest.split_at(length);
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    Ok(words)
}

fn expression(words: &[String]) -> Result<Expression> {
    let mut words = words.iter().map(String::as_str).collect::<Vec<_>>().into_iter().peekable();
    let expression = pipeline(&mut words)?;
    match words.next() {
        Some(word) => bail!("{word} has no place here"),
        None => Ok(expression),
    }
}

fn pipeline(words: &mut Words<'_>) -> Result<Expression> {
    let mut value = command(words, None)?;
    while words.next_if_eq(&"|").is_some() {
        value = command(words, Some(value))?;
    }
    Ok(value)
}

/// A value, or a function with its arguments, of which what is piped into it is the last.
fn command(words: &mut Words<'_>, piped: Option<Expression>) -> Result<Expression> {
    let is_name = |word: &&str| word.starts_with(|c: char| c.is_ascii_alphabetic());
    let Some(name) = words.next_if(is_name) else {
        ensure!(piped.is_none(), "a pipe leads to a function");
        return operand(words);
    };
    let mut arguments = Vec::new();
    while words.peek().is_some_and(|word| !["|", ")"].contains(word)) {
        arguments.push(operand(words)?);
    }
    arguments.extend(piped);
    Ok(Expression::Call(name.to_owned(), arguments))
}

fn operand(words: &mut Words<'_>) -> Result<Expression> {
    let word = words.next().context("a value is missing")?;
    if word == "(" {
        let inner = pipeline(words)?;
        ensure!(words.next() == Some(")"), "a parenthesis is not closed");
        return Ok(inner);
    }
    if let Some(path) = word.strip_prefix('.') {
        return Ok(Expression::Field(path.split('.').filter(|field| !field.is_empty()).map(str::to_owned).collect()));
    }
    // Texts and numbers are written as in JSON.
    serde_json::from_str(word).map(Expression::Constant).with_context(|| format!("{word} is not known"))
}
