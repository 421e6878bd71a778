//! Tables, as they are read.

use super::*;
use crate::color::{Paint, When};

fn look(width: Option<u16>, color: When) -> Look {
    let paint = Paint::new(color, &std::io::stdout());
    Look { width, paint, alphabet: Alphabet::Unicode }
}

/// Without colour.
pub fn plain(width: Option<u16>) -> Look {
    look(width, When::Never)
}

/// With colour.
pub fn coloured(width: Option<u16>) -> Look {
    look(width, When::Always)
}

/// Without colour, and without any character but those of ASCII.
pub fn ascii(width: Option<u16>) -> Look {
    Look { alphabet: Alphabet::Ascii, ..plain(width) }
}

/// What snapshots hold: every width without colour and with it, and where there is no terminal.
pub fn shown(draw: impl Fn(Look) -> String) -> String {
    let mut text = String::new();
    for width in [60, 80, 120, 200] {
        text += &format!("=== {width} columns\n{}", draw(plain(Some(width))));
    }
    text += &format!("=== no terminal\n{}", draw(plain(None)));
    text += &format!("=== 80 columns, ASCII\n{}", draw(ascii(Some(80))));
    for width in [60, 80, 120, 200] {
        // Escape characters would make the snapshot a binary file.
        let colour = draw(coloured(Some(width))).replace('\x1b', "␛");
        text += &format!("=== {width} columns, colour\n{colour}");
    }
    text
}

/// A table with a column of each kind.
fn table() -> Table {
    let mut table = Table::new([
        Column::left("", KEPT).close(),
        Column::left("NAME", KEPT).cut(15, 6),
        Column::right("MEMORY", 5),
        Column::left("MODELS", 7).cut(16, 8),
        Column::left("WHY", 6).wrap(20, 10),
        Column::left("ENDPOINT", 4),
        Column::right("VRAM", 3),
    ]);
    table.row([
        Cell::new("●").style(Style::Good),
        Cell::new("ollama"),
        Cell::new("7.4 GiB"),
        Cell::new("通义千问, llama3.2:3b"),
        Cell::unknown(),
        Cell::new("http://127.0.0.1:11434").short(":11434"),
    ]);
    table.row([
        Cell::new("✗").style(Style::Bad),
        Cell::new("llamacpp-python"),
        Cell::unknown(),
        Cell::known(None::<String>).style(Style::Bad),
        Cell::new("it failed as soon as it had started"),
    ]);
    table
}

#[test]
fn everything_is_told_where_there_is_no_terminal() {
    let expected = "
  NAME              MEMORY  MODELS                 WHY                                  ENDPOINT                VRAM
● ollama           7.4 GiB  通义千问, llama3.2:3b  -                                    http://127.0.0.1:11434     -
✗ llamacpp-python        -  -                      it failed as soon as it had started  -                          -
";
    assert_eq!(table().render(plain(None)), expected[1..]);
}

#[test]
fn a_terminal_gets_what_it_has_room_for() {
    for (width, expected) in [
        (
            100,
            "
  NAME              MEMORY  MODELS                 WHY                                  ENDPOINT
● ollama           7.4 GiB  通义千问, llama3.2:3b  -                                    :11434
✗ llamacpp-python        -  -                      it failed as soon as it had started  -
",
        ),
        (
            60,
            "
  NAME             MODELS               WHY
● ollama           通义千问, llama3.2…  -
✗ llamacpp-python  -                    it failed as soon as
                                        it had started
",
        ),
        (
            40,
            "
  NAME             MODELS
● ollama           通义千问, llama3.2:3b
✗ llamacpp-python  -
",
        ),
        (
            20,
            "
  NAME
● ollama
✗ llamacpp-python
",
        ),
    ] {
        let text = table().render(plain(Some(width)));
        assert_eq!(text, expected[1..], "{width}\n{text}");
    }
}

#[test]
fn no_line_is_ever_too_wide_and_the_name_is_always_there() {
    for columns in 20..200 {
        let text = table().render(plain(Some(columns)));
        for line in text.lines() {
            assert!(width(line) <= usize::from(columns), "{columns}\n{text}");
            assert_eq!(line.trim_end(), line);
        }
        assert!(text.contains("● ollama") && text.contains("✗ llama"), "{columns}\n{text}");
        // Nothing is known of any, which is worth no column.
        assert!(!text.contains("VRAM"), "{columns}\n{text}");
    }
}

#[test]
fn colour_changes_no_width_and_no_word() {
    for columns in [None, Some(20), Some(40), Some(60), Some(100)] {
        let coloured = table().render(look(columns, When::Always));
        let mut without = coloured.clone();
        for code in ["\x1b[0m", "\x1b[2m", "\x1b[31m", "\x1b[32m"] {
            assert!(coloured.contains(code), "{coloured:?}");
            without = without.replace(code, "");
        }
        assert_eq!(without, table().render(plain(columns)));
        // Nothing but texts is painted.
        assert!(coloured.contains("\x1b[32m●\x1b[0m ollama"), "{coloured:?}");
        assert!(!coloured.contains(" \x1b[0m"), "{coloured:?}");
    }
}

#[test]
fn text_from_elsewhere_stays_in_its_cell() {
    let mut table = Table::new([Column::left("NAME", KEPT), Column::left("MODELS", KEPT)]);
    table.row([Cell::new(" a\nb\t\x1b[31mc\r"), Cell::new("\u{202e}d\x1b]0;x\u{7}")]);
    table.row([Cell::new(""), Cell::new("  ")]);
    table.row([]);
    assert_eq!(table.render(plain(Some(80))), "NAME   MODELS\na b c  d\n-      -\n-      -\n");
    assert_eq!(table.render(look(Some(80), When::Always)).matches('\x1b').count(), 8);
}

#[test]
fn a_table_without_rows_says_what_it_would_hold() {
    let table = Table::new([Column::left("NAME", KEPT), Column::right("VRAM", 1)]);
    assert_eq!(table.render(plain(Some(80))), "NAME  VRAM\n");
    assert_eq!(table.render(plain(None)), "NAME  VRAM\n");
    assert_eq!(Table::new([]).render(plain(Some(80))), "");
}

#[test]
fn those_without_utf_8_get_ascii() {
    let text = table().render(ascii(Some(30)));
    assert!(text.is_ascii() && text.contains("* ollama") && text.contains(".."), "{text}");
}
