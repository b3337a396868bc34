//! The filter and its input line: the typed text, and the last valid expression.

use ratatui::crossterm::event::{Event, KeyEvent};
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;

use crate::model::escape::escape;
use crate::model::filter::{Filter, FilterError, TERMS};

/// Bytes of input at most.
const MAX_INPUT: usize = 1_024;

/// The filter and its line.
#[derive(Debug, Default)]
pub struct FilterLine {
    input: Input,
    editing: bool,
    /// The filter in effect: the last valid expression.
    good: Filter,
    good_text: String,
    error: Option<FilterError>,
    /// Applies as well: `--process` of the command line.
    fixed: Option<Filter>,
    fixed_text: String,
}

impl FilterLine {
    /// Starts with the command line's expression, and with its pattern that always applies.
    pub fn new(expr: Option<&str>, process: Option<&str>) -> Self {
        let mut line = Self::default();
        if let Some(expr) = expr {
            line.input = Input::new(expr.into());
            line.parse();
        }
        if let Some(process) = process {
            line.fixed_text = quoted(process);
            line.fixed = Filter::parse(&line.fixed_text).ok();
        }
        line
    }

    /// Starts typing.
    pub fn edit(&mut self) {
        self.editing = true;
    }

    /// Takes a key; true when the filter in effect changed.
    pub fn key(&mut self, key: KeyEvent) -> bool {
        if self.input.value().len() >= MAX_INPUT
            && matches!(key.code, ratatui::crossterm::event::KeyCode::Char(_))
        {
            return false;
        }
        let before = self.input.value().to_owned();
        self.input.handle_event(&Event::Key(key));
        before != self.input.value() && self.parse()
    }

    /// Takes pasted text; true when the filter in effect changed.
    pub fn paste(&mut self, text: &str) -> bool {
        let mut value = self.input.value().to_owned();
        value.extend(
            text.chars().filter(|c| !c.is_control()).take(MAX_INPUT - value.len().min(MAX_INPUT)),
        );
        self.input = Input::new(value);
        self.parse()
    }

    /// Ends typing, unless the input is invalid.
    pub fn accept(&mut self) {
        self.editing = self.error.is_some();
    }

    /// The filter, if it is one bare word.
    pub fn bare_word(&self) -> Option<&str> {
        let word = self.good_text.as_str();
        let plain = |c: char| !c.is_whitespace() && !matches!(c, ':' | '!' | '~' | '"' | '\'');
        (!word.is_empty() && word.chars().all(plain)).then_some(word)
    }

    /// Completes the last term: with `path:` in front where only paths contain it, else its key. The
    /// error names the keys where none or several begin like that.
    pub fn complete(&mut self, of_paths: bool) -> Result<(), String> {
        let text = self.input.value();
        let at = text.rfind(char::is_whitespace).map_or(0, |at| at + 1);
        let (before, term) = text.split_at_checked(at).unwrap_or(("", text));
        let word = term.trim_start_matches('!');
        let marks = term.strip_suffix(word).unwrap_or_default();
        let term = if of_paths {
            format!("path:{word}")
        } else {
            let keys = TERMS.iter().filter(|form| !form.key.is_empty()).map(|form| form.written);
            let begin = keys.filter(|key| key.starts_with(word)).collect::<Vec<_>>();
            match begin.as_slice() {
                [one] => (*one).to_owned(),
                [] => return Err(format!("no key begins with {}", escape(word.as_bytes()))),
                several => return Err(several.join(" ")),
            }
        };
        self.input = Input::new(format!("{before}{marks}{term}"));
        self.parse();
        Ok(())
    }

    /// Ends typing and removes the filter.
    pub fn clear(&mut self) {
        let (fixed, fixed_text) = (self.fixed.take(), std::mem::take(&mut self.fixed_text));
        *self = Self { fixed, fixed_text, ..Self::default() };
    }

    /// Whether keys go here.
    pub fn editing(&self) -> bool {
        self.editing
    }

    /// The text in the line, and the cursor's place in cells.
    pub fn text(&self) -> (&str, usize) {
        (self.input.value(), self.input.visual_cursor())
    }

    /// Why the text is invalid.
    pub fn error(&self) -> Option<&FilterError> {
        self.error.as_ref()
    }

    /// Whether the line has something to show.
    pub fn is_shown(&self) -> bool {
        self.editing || !self.good_text.is_empty()
    }

    /// The expression in effect.
    pub fn good_text(&self) -> &str {
        &self.good_text
    }

    /// All expressions in effect, the command line's first.
    pub fn held_text(&self) -> String {
        [self.fixed_text.as_str(), self.good_text.as_str()].join(" ").trim().to_owned()
    }

    /// The typed filter in effect.
    pub fn filter(&self) -> &Filter {
        &self.good
    }

    /// Whether one of the filters is about cgroups.
    pub fn chooses_cgroups(&self) -> bool {
        self.good.chooses_cgroups() || self.fixed.as_ref().is_some_and(Filter::chooses_cgroups)
    }

    /// The filter of the command line.
    pub fn fixed(&self) -> Option<&Filter> {
        self.fixed.as_ref()
    }

    fn parse(&mut self) -> bool {
        match Filter::parse(self.input.value()) {
            Ok(filter) => {
                self.good = filter;
                self.good_text = self.input.value().trim().to_owned();
                self.error = None;
                true
            }
            Err(e) => {
                self.error = Some(e);
                false
            }
        }
    }
}

/// A PATTERN as one term of an expression, in quotes if it has spaces or a colon.
fn quoted(pattern: &str) -> String {
    if !pattern.contains(|c: char| c.is_whitespace() || c == ':') {
        return pattern.to_owned();
    }
    let body = pattern.trim_start_matches(['!', '~']);
    let marks = pattern.strip_suffix(body).unwrap_or_default();
    format!("{marks}\"{body}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_with_spaces_is_one_term() {
        assert_eq!(quoted("nginx"), "nginx");
        assert_eq!(quoted("!~a b"), "!~\"a b\"");
        assert_eq!(quoted("pid:1"), "\"pid:1\"");
        assert!(Filter::parse(&quoted("pid:no number")).is_ok());
    }

    #[test]
    fn the_command_lines_pattern_stays_after_clearing() {
        let mut line = FilterLine::new(Some("err:ENOENT"), Some("nginx"));
        assert_eq!(line.held_text(), "nginx err:ENOENT");
        line.clear();
        assert_eq!(line.held_text(), "nginx");
        assert!(line.fixed().is_some());
    }

    #[test]
    fn the_last_term_is_completed() {
        for (typed, of_paths, completed) in [
            ("hostname", true, Ok("path:hostname")),
            ("pid:1 pat", false, Ok("pid:1 path:")),
            ("!par", false, Ok("!parent:")),
            ("p", false, Err("pid: parent: path: pod: peer: port:")),
            ("zz", false, Err("no key begins with zz")),
        ] {
            let mut line = FilterLine::new(Some(typed), None);
            let done = line.complete(of_paths).map(|()| line.text().0.to_owned());
            assert_eq!(done, completed.map(str::to_owned).map_err(str::to_owned), "{typed}");
        }
        let word = |text| FilterLine::new(Some(text), None).bare_word().map(str::to_owned);
        assert_eq!(word("hostname").as_deref(), Some("hostname"));
        assert_eq!([word("a b"), word("pid:1"), word("!a"), word("")], [None, None, None, None]);
    }
}
