//! `--watch`: looking again and again, in place on a terminal.

use std::{
    future,
    io::{self, IsTerminal, stdout},
    pin::pin,
    time::Duration,
};

use aictl_api::exit;
use nix::sys::signal::{Signal, raise};
use tokio::{
    signal::unix::{self, SignalKind, signal},
    time::{Instant, sleep_until},
};

use crate::{
    args::Global,
    async_output, message, output,
    runtime::{self, Stopped},
    table::Look,
    time::Moment,
};

/// Sequences of ECMA-48, and of DEC for the cursor and for lines that are too long.
mod terminal {
    /// Hides the cursor, and cuts lines at the edge.
    pub const BEGIN: &str = "\x1b[?25l\x1b[?7l\x1b[2J";
    /// Puts the cursor into the first column of the first line.
    pub const HOME: &str = "\x1b[H";
    /// Erases the rest of a line.
    pub const END_OF_LINE: &str = "\x1b[K";
    /// Erases all that is below.
    pub const BELOW: &str = "\x1b[J";
    /// As before [`BEGIN`], in a line of its own.
    pub const END: &str = "\x1b[?7h\x1b[?25h\r\n";
}

/// What is shown again and again.
pub trait Watched {
    /// What one look shows.
    type Seen;

    /// Looks.
    fn look(&mut self) -> impl Future<Output = Self::Seen>;

    /// What was seen, for people.
    fn text(&self, seen: &Self::Seen, look: Look) -> String;

    /// What was seen, for programs: on one line.
    fn json(&self, seen: &Self::Seen) -> String;
}

/// Looks each `every`, until Ctrl-C or the end of whoever reads it; returns the exit code.
pub fn watch(global: &Global, every: Duration, watched: &mut impl Watched) -> u8 {
    let in_place = !global.json && stdout().is_terminal() && !is_dumb();
    let screen = Screen::new(in_place);
    let ended = runtime::run(async {
        tokio::select! {
            biased;
            ended = looks(global, every, watched, in_place) => ended,
            () = async_output::closed() => Ok(()),
        }
    });
    drop(screen);
    match ended {
        Ok(Ok(())) => exit::OK,
        Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => exit::OK,
        Ok(Err(error)) => {
            message::error(format_args!("the output cannot be written: {error}"));
            exit::INTERNAL
        }
        // There is no other end: that is what it is for.
        Err(Stopped::Signal(signal)) if signal == SignalKind::interrupt().as_raw_value() => {
            exit::OK
        }
        Err(stopped @ Stopped::Signal(_)) => stopped.exit_code(),
        Err(stopped) => message::fail(global, stopped.exit_code(), &stopped.to_string()),
    }
}

async fn looks(
    global: &Global,
    every: Duration,
    watched: &mut impl Watched,
    in_place: bool,
) -> io::Result<()> {
    let mut resized = signal(SignalKind::window_change())?;
    let mut stop_key = StopKey::listen(in_place)?;
    let mut is_first = true;
    loop {
        let next = Instant::now() + every;
        let at = Moment::now();
        let seen = {
            let mut look = pin!(watched.look());
            loop {
                tokio::select! {
                    biased;
                    seen = &mut look => break seen,
                    () = stop_key.pressed() => stand_still(),
                }
            }
        };
        if global.json {
            async_output::write_all((watched.json(&seen) + "\n").into_bytes()).await?;
        } else if !in_place {
            let separator = if is_first { "" } else { "\n" };
            let text = separator.to_owned() + &watched.text(&seen, Look::of_stdout(global));
            async_output::write_all(text.into_bytes()).await?;
        }
        is_first = false;
        loop {
            if in_place {
                let look = Look::of_stdout(global);
                let text = format!("{}\n\n{}", heading(every, at), watched.text(&seen, look));
                async_output::write_all(frame(&text, rows()).into_bytes()).await?;
            }
            tokio::select! {
                biased;
                () = sleep_until(next) => break,
                // What was seen is shown anew where there is another width for it.
                _ = resized.recv() => {}
                () = stop_key.pressed() => stand_still(),
            }
        }
    }
}

/// The terminal's stop key.
struct StopKey(Option<unix::Signal>);

impl StopKey {
    /// Listens to it, if it is wanted; else it stops the process as it does any other.
    fn listen(is_wanted: bool) -> io::Result<Self> {
        let kind = SignalKind::from_raw(Signal::SIGTSTP as i32);
        is_wanted.then(|| signal(kind)).transpose().map(Self)
    }

    async fn pressed(&mut self) {
        match &mut self.0 {
            Some(signal) => drop(signal.recv().await),
            None => future::pending().await,
        }
    }
}

/// Stands still until the shell says to go on, with the terminal as it was before.
fn stand_still() {
    Screen::end();
    // What the key does to any other program.
    let _never = raise(Signal::SIGSTOP);
    Screen::begin();
}

/// Whether the terminal knows no sequences.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term == "dumb")
}

fn heading(every: Duration, at: Moment) -> String {
    format!("every {} s · {} · Ctrl-C ends", every.as_secs_f64(), at.local())
}

/// Lines on the terminal; as many as wanted where it does not tell.
fn rows() -> usize {
    let size = rustix::termios::tcgetwinsize(stdout()).ok();
    size.map(|size| usize::from(size.ws_row)).filter(|rows| *rows > 1).unwrap_or(usize::MAX)
}

/// The text over what is on the terminal: nothing is erased before there is something else, so that
/// nothing flickers. What has no room is counted in the last line.
fn frame(text: &str, rows: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let mut frame = terminal::HOME.to_owned();
    let mut add = |line: &str, is_last: bool| {
        frame += line;
        frame += terminal::END_OF_LINE;
        if !is_last {
            frame += "\r\n";
        }
    };
    if lines.len() <= rows {
        for (index, line) in lines.iter().enumerate() {
            add(line, index + 1 == lines.len());
        }
    } else {
        let shown = rows.saturating_sub(1);
        for line in &lines[..shown] {
            add(line, false);
        }
        let more = lines.len() - shown;
        add(&format!("({more} more lines: enlarge the window, or name a service)"), true);
    }
    frame + terminal::BELOW
}

/// The terminal while it is drawn on; as before when this is dropped.
struct Screen(bool);

impl Screen {
    fn new(is_wanted: bool) -> Self {
        if is_wanted {
            Self::begin();
        }
        Self(is_wanted)
    }

    fn begin() {
        // Where nobody reads it there is nobody to tell.
        let _closed = output::write_all(&stdout(), terminal::BEGIN.as_bytes());
    }

    fn end() {
        let _closed = output::write_all(&stdout(), terminal::END.as_bytes());
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.0 {
            Self::end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_drawn_over_the_last_and_is_no_higher_than_the_terminal() {
        let shown = |text: &str, rows| {
            let frame = frame(text, rows);
            frame.replace("\x1b[H", "^").replace("\x1b[K", "|").replace("\x1b[J", "$")
        };
        assert_eq!(shown("a\nb\n", 24), "^a|\r\nb|$");
        assert_eq!(shown("a\nb\n", 2), "^a|\r\nb|$");
        assert_eq!(
            shown("a\nb\nc\nd\n", 3),
            "^a|\r\nb|\r\n(2 more lines: enlarge the window, or name a service)|$"
        );
        assert_eq!(shown("", 24), "^$");
    }
}
