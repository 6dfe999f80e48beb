//! The terminal while the picture is on it. It is given back as it was, also when the demo fails or panics.

use std::{
    io::{self, Stdout, Write, stdout},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use crossterm::{
    cursor::{Hide, MoveTo, Show},
    event::{self, Event, KeyCode, KeyEventKind, KeyModifiers},
    queue,
    style::{Attribute, Color, Print, ResetColor, SetAttribute, SetForegroundColor},
    terminal::{self, Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen},
};
use tokio::sync::watch;

use super::view::{Ink, Line};

const KEY_POLL: Duration = Duration::from_millis(100);

/// The terminal, taken.
pub struct Screen {
    out: Stdout,
    ends: Arc<AtomicBool>,
    keys: Option<JoinHandle<()>>,
    quit: watch::Receiver<bool>,
}

impl Screen {
    /// Takes the terminal.
    pub fn take() -> io::Result<Self> {
        let mut out = stdout();
        terminal::enable_raw_mode()?;
        queue!(out, EnterAlternateScreen, Hide, Clear(ClearType::All))?;
        out.flush()?;
        restore_on_panic();
        let ends = Arc::new(AtomicBool::new(false));
        let (pressed, quit) = watch::channel(false);
        let keys = std::thread::spawn({
            let ends = ends.clone();
            move || watch_keys(&ends, &pressed)
        });
        Ok(Self { out, ends, keys: Some(keys), quit })
    }

    /// Becomes true when the reader presses `q`, Escape or Ctrl-C.
    pub fn quit(&self) -> watch::Receiver<bool> {
        self.quit.clone()
    }

    /// How many lines there is room for.
    pub fn rows(&self) -> io::Result<usize> {
        Ok(usize::from(terminal::size()?.1))
    }

    /// Shows as much of the lines as there is room for. Each row is written over, so that nothing flickers.
    pub fn draw(&mut self, lines: &[Line]) -> io::Result<()> {
        let (width, height) = terminal::size()?;
        for (row, line) in (0..height).zip(lines) {
            queue!(self.out, MoveTo(0, row))?;
            let mut room = usize::from(width);
            for (ink, text) in &line.pieces {
                let shown: String = text.chars().filter(|c| !c.is_control()).take(room).collect();
                room -= shown.chars().count();
                paint(&mut self.out, *ink, &shown)?;
            }
            queue!(self.out, Clear(ClearType::UntilNewLine))?;
        }
        if let Some(free) = u16::try_from(lines.len()).ok().filter(|row| *row < height) {
            queue!(self.out, MoveTo(0, free), Clear(ClearType::FromCursorDown))?;
        }
        self.out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(keys) = self.keys.take() {
            // The thread holds nothing that could be lost; a panic in it has been reported.
            let _ = keys.join();
        }
        restore();
    }
}

fn watch_keys(ends: &AtomicBool, pressed: &watch::Sender<bool>) {
    while !ends.load(Ordering::Relaxed) {
        match event::poll(KEY_POLL).and_then(|there| if there { event::read().map(Some) } else { Ok(None) }) {
            Ok(Some(Event::Key(key))) if key.kind == KeyEventKind::Press => {
                let control = key.modifiers.contains(KeyModifiers::CONTROL);
                if matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) || (key.code == KeyCode::Char('c') && control)
                {
                    pressed.send_replace(true);
                }
            }
            Ok(_) => {}
            // A terminal that went away is nobody who watches.
            Err(_) => {
                pressed.send_replace(true);
                return;
            }
        }
    }
}

fn paint(out: &mut Stdout, ink: Ink, text: &str) -> io::Result<()> {
    match ink {
        Ink::Plain => queue!(out, Print(text)),
        Ink::Bold => queue!(out, SetAttribute(Attribute::Bold), Print(text), SetAttribute(Attribute::Reset)),
        Ink::Dim => queue!(out, SetAttribute(Attribute::Dim), Print(text), SetAttribute(Attribute::Reset)),
        Ink::Green => queue!(out, SetForegroundColor(Color::Green), Print(text), ResetColor),
        Ink::Yellow => queue!(out, SetForegroundColor(Color::Yellow), Print(text), ResetColor),
        Ink::Red => queue!(out, SetForegroundColor(Color::Red), Print(text), ResetColor),
    }
}

fn restore() {
    let mut out = stdout();
    let _ = queue!(out, ResetColor, SetAttribute(Attribute::Reset), Show, LeaveAlternateScreen);
    let _ = out.flush();
    let _ = terminal::disable_raw_mode();
}

/// Before the message is printed: on the alternate screen it would be lost.
fn restore_on_panic() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        restore();
        usual(panic);
    }));
}
