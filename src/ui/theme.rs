//! Colours as data. Every mark that has a colour has a word or a sign as well, so that a theme
//! without colours says the same.

use ratatui::style::{Color, Modifier, Style};

/// The styles of everything on the screen.
#[derive(Clone, Debug)]
pub struct Theme {
    pub name: &'static str,
    /// Normal text.
    pub text: Style,
    /// Text that does not draw attention: units, ages, zeros, rules.
    pub quiet: Style,
    /// Text that the eye should find first.
    pub strong: Style,
    pub title: Style,
    pub border: Style,
    pub focus: Style,
    pub heading: Style,
    /// The column that the rows are ordered by.
    pub sorted: Style,
    pub key: Style,
    /// Failure and loss alone.
    pub bad: Style,
    /// Invalid input, a state to be aware of.
    pub note: Style,
    pub fresh: Style,
    pub rx: Style,
    pub tx: Style,
    pub opens: Style,
    /// From a little to a lot.
    pub heat: [Style; 4],
    pub selected: Style,
    /// The selected row loses the colours of its cells.
    pub flat_selection: bool,
}

const PLAIN: Style = Style::new();

const fn fg(color: Color) -> Style {
    Style::new().fg(color)
}

const fn bold(color: Color) -> Style {
    Style::new().fg(color).add_modifier(Modifier::BOLD)
}

const fn rgb(hex: u32) -> Color {
    Color::Rgb((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
}

/// No colour at all: weight, underline and reverse alone.
const NONE: Theme = Theme {
    name: "none",
    text: PLAIN,
    quiet: PLAIN.add_modifier(Modifier::DIM),
    strong: PLAIN.add_modifier(Modifier::BOLD),
    title: PLAIN.add_modifier(Modifier::BOLD),
    border: PLAIN.add_modifier(Modifier::DIM),
    focus: PLAIN,
    heading: PLAIN.add_modifier(Modifier::DIM),
    sorted: PLAIN.add_modifier(Modifier::BOLD),
    key: PLAIN.add_modifier(Modifier::BOLD),
    bad: PLAIN.add_modifier(Modifier::BOLD),
    note: PLAIN.add_modifier(Modifier::UNDERLINED),
    fresh: PLAIN.add_modifier(Modifier::BOLD),
    rx: PLAIN,
    tx: PLAIN,
    opens: PLAIN,
    heat: [PLAIN, PLAIN, PLAIN, PLAIN],
    selected: PLAIN.add_modifier(Modifier::REVERSED),
    flat_selection: true,
};

/// The terminal's own sixteen colours, on its own background.
const TERMINAL: Theme = Theme {
    name: "terminal",
    text: PLAIN,
    quiet: fg(Color::DarkGray),
    strong: PLAIN.add_modifier(Modifier::BOLD),
    title: PLAIN.add_modifier(Modifier::BOLD),
    border: fg(Color::DarkGray),
    focus: fg(Color::Cyan),
    heading: fg(Color::DarkGray),
    sorted: bold(Color::Cyan),
    key: bold(Color::Cyan),
    bad: bold(Color::Red),
    note: bold(Color::Yellow),
    fresh: fg(Color::Green),
    rx: fg(Color::Green),
    tx: fg(Color::Blue),
    opens: fg(Color::Cyan),
    heat: [fg(Color::DarkGray), fg(Color::Cyan), fg(Color::LightCyan), bold(Color::LightYellow)],
    selected: PLAIN.add_modifier(Modifier::REVERSED),
    flat_selection: true,
};

/// Black and white with few bright colours, for bad light and tired eyes.
const CONTRAST: Theme = Theme {
    name: "contrast",
    text: Style::new().fg(rgb(0xffffff)).bg(rgb(0x000000)),
    quiet: fg(rgb(0xc8c8c8)),
    strong: bold(rgb(0xffffff)),
    title: bold(rgb(0xffffff)),
    border: fg(rgb(0xb0b0b0)),
    focus: bold(rgb(0xffff00)),
    heading: fg(rgb(0xe0e0e0)),
    sorted: bold(rgb(0xffff00)),
    key: bold(rgb(0xffff00)),
    bad: bold(rgb(0xff5f5f)),
    note: bold(rgb(0xffff00)),
    fresh: bold(rgb(0x5fff5f)),
    rx: fg(rgb(0x5fff5f)),
    tx: fg(rgb(0x5fd7ff)),
    opens: fg(rgb(0xffffff)),
    heat: [fg(rgb(0xc8c8c8)), fg(rgb(0xffffff)), fg(rgb(0xffff87)), bold(rgb(0xffff00))],
    selected: Style::new().fg(rgb(0x000000)).bg(rgb(0xffff00)),
    flat_selection: true,
};

/// The theme for a light background.
const LIGHT: Theme = Theme {
    name: "light",
    text: Style::new().fg(rgb(0x2e3440)).bg(rgb(0xfafaf7)),
    quiet: fg(rgb(0x7b8394)),
    strong: bold(rgb(0x1b1f28)),
    title: bold(rgb(0x1b1f28)),
    border: fg(rgb(0xc3c8d2)),
    focus: fg(rgb(0x1f6feb)),
    heading: fg(rgb(0x7b8394)),
    sorted: bold(rgb(0x1f6feb)),
    key: bold(rgb(0x1f6feb)),
    bad: bold(rgb(0xc01c28)),
    note: bold(rgb(0x9a6700)),
    fresh: fg(rgb(0x1a7f37)),
    rx: fg(rgb(0x1a7f37)),
    tx: fg(rgb(0x1f6feb)),
    opens: fg(rgb(0x0b7285)),
    heat: [fg(rgb(0x7b8394)), fg(rgb(0x0b7285)), fg(rgb(0x6639a6)), bold(rgb(0x9a3412))],
    selected: Style::new().bg(rgb(0xdbe7fb)),
    flat_selection: false,
};

/// The eight colours of Okabe and Ito, distinguishable with every kind of sight.
const COLOURBLIND: Theme = Theme {
    name: "colourblind",
    text: Style::new().fg(rgb(0xd8dee9)).bg(rgb(0x14171c)),
    quiet: fg(rgb(0x8a93a3)),
    strong: bold(rgb(0xffffff)),
    title: bold(rgb(0xffffff)),
    border: fg(rgb(0x454c59)),
    focus: fg(rgb(0x56b4e9)),
    heading: fg(rgb(0x8a93a3)),
    sorted: bold(rgb(0x56b4e9)),
    key: bold(rgb(0x56b4e9)),
    bad: bold(rgb(0xff7a1a)),
    note: bold(rgb(0xf0e442)),
    fresh: fg(rgb(0xcc79a7)),
    rx: fg(rgb(0xf0e442)),
    tx: fg(rgb(0x56b4e9)),
    opens: fg(rgb(0xd8dee9)),
    heat: [fg(rgb(0x8a93a3)), fg(rgb(0x56b4e9)), fg(rgb(0xe6e07a)), bold(rgb(0xf0e442))],
    selected: Style::new().bg(rgb(0x2b3950)),
    flat_selection: false,
};

/// Every theme that can be asked for by name.
pub const THEMES: [&Theme; 4] = [&TERMINAL, &CONTRAST, &LIGHT, &COLOURBLIND];

impl Theme {
    /// The theme of that name; the terminal's own where there is none, and none without colour.
    pub fn named(name: &str, colour: bool) -> &'static Theme {
        if !colour {
            return &NONE;
        }
        THEMES.into_iter().find(|t| t.name == name).unwrap_or(&TERMINAL)
    }

    /// The style of `value` between nothing and `most`.
    pub fn heat(&self, value: f64, most: f64) -> Style {
        let [low, some, much, hot] = self.heat;
        match if most > 0.0 { value / most } else { 0.0 } {
            x if x >= 0.5 => hot,
            x if x >= 0.2 => much,
            x if x > 0.02 => some,
            _ => low,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::saved_view::THEME_NAMES;

    #[test]
    fn every_name_has_its_theme() {
        assert_eq!(THEMES.map(|t| t.name), THEME_NAMES);
    }
}
