//! The terminal emulator of the browser: xterm.js 6 behind the crate `xterm-js-rs`, and the little that the crate lacks.
//!
//! The crate is of 2021 and imports `xterm` and `xterm-addon-*` statically. wasm-bindgen binds all imports in the script of the
//! first page, also those that only a split-off page uses, so these names lead (by the document's import map) to a shim of a few
//! lines, `app/js/xterm.mjs`, which brings the real modules when [`load`] is called and then fills in the names: imports
//! of ES modules are live. The crate speaks the words of xterm 4. What has changed since, or never was in it, is in the
//! block below: bytes (`write`), options at run time, parser hooks, the bell, the screen of one cell size.
//!
//! Nothing that the emulator says by itself may ever reach a session: it would answer queries of a program once for each
//! viewer, and a hostile program could make it type. The server's policy removes the queries; here [`Emulator::new`] swallows them again.

use std::{any::Any, cell::RefCell};

use js_sys::{Array, Function, Object, Reflect, Uint8Array};
use wasm_bindgen::{JsCast as _, JsValue, closure::Closure, prelude::wasm_bindgen};
use web_sys::{HtmlElement, HtmlTextAreaElement, KeyboardEvent, WheelEvent};
use xterm_js_rs::{
    Disposable, Terminal, TerminalOptions,
    addons::{unicode11::Unicode11Addon, web_links::WebLinksAddon},
};

use super::rules::{self, Letters};

#[wasm_bindgen(module = "xterm")]
extern "C" {
    #[wasm_bindgen(catch, js_name = load)]
    async fn bring() -> Result<JsValue, JsValue>;

    #[wasm_bindgen(extends = Terminal, extends = Disposable)]
    type Lacking;

    #[wasm_bindgen(method, js_name = write)]
    fn write_bytes(this: &Lacking, bytes: &Uint8Array);

    #[wasm_bindgen(method, getter)]
    fn options(this: &Lacking) -> Object;

    #[wasm_bindgen(method, getter)]
    fn unicode(this: &Lacking) -> Object;

    #[wasm_bindgen(method, getter)]
    fn parser(this: &Lacking) -> Hooks;

    #[wasm_bindgen(method, js_name = onBell)]
    fn on_bell(this: &Lacking, act: &JsValue) -> Disposable;

    #[wasm_bindgen(method, js_name = attachCustomWheelEventHandler)]
    fn on_wheel(this: &Lacking, act: &Function);

    #[wasm_bindgen(method, getter)]
    fn modes(this: &Lacking) -> Modes;

    type Modes;

    #[wasm_bindgen(method, getter, js_name = mouseTrackingMode)]
    fn mouse(this: &Modes) -> String;

    type Hooks;

    #[wasm_bindgen(method, js_name = registerCsiHandler)]
    fn csi(this: &Hooks, id: &JsValue, act: &Function) -> Disposable;

    #[wasm_bindgen(method, js_name = registerDcsHandler)]
    fn dcs(this: &Hooks, id: &JsValue, act: &Function) -> Disposable;

    #[wasm_bindgen(method, js_name = registerOscHandler)]
    fn osc(this: &Hooks, id: u32, act: &Function) -> Disposable;
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = KeyboardEvent)]
    type Again;

    #[wasm_bindgen(constructor, js_class = "KeyboardEvent")]
    fn new(kind: &str, like: &KeyboardEvent) -> Again;
}

/// CSI sequences that ask the terminal something: prefix, intermediates, final byte.
const ASKING: [(&str, &str, &str); 14] = [
    ("", "", "c"),
    (">", "", "c"),
    ("=", "", "c"),
    ("", "", "n"),
    ("?", "", "n"),
    (">", "", "n"),
    ("", "", "t"),
    (">", "", "t"),
    ("", "", "x"),
    (">", "", "q"),
    ("?", "", "u"),
    ("", "$", "p"),
    ("?", "$", "p"),
    ("", "$", "w"),
];
/// The same by DCS: DECRQSS, XTGETTCAP.
const ASKING_DCS: [(&str, &str); 2] = [("$", "q"), ("+", "q")];
/// Colours and the clipboard: read by `?`, and not a program's to change.
const ASKING_OSC: [u32; 11] = [4, 5, 10, 11, 12, 17, 19, 52, 104, 110, 111];
/// The names of xterm's theme for the colours 0 to 15.
const ANSI: [&str; 16] = [
    "black",
    "red",
    "green",
    "yellow",
    "blue",
    "magenta",
    "cyan",
    "white",
    "brightBlack",
    "brightRed",
    "brightGreen",
    "brightYellow",
    "brightBlue",
    "brightMagenta",
    "brightCyan",
    "brightWhite",
];

/// What the window has around the grid, both sides together (`.glass` in the stylesheet).
const PADDING: f64 = 20.0;

const FAMILY: &str = "ui-monospace, \"SF Mono\", \"JetBrains Mono\", Menlo, Consolas, \"DejaVu Sans Mono\", monospace";

/// Brings the emulator; at once when it is there already.
pub(super) async fn load() -> Result<(), String> {
    bring().await.map(drop).map_err(|_| "the terminal emulator could not be loaded; are you online?".to_owned())
}

/// Waits until `glass` is on the page, where letters can be measured: a page that still loads something is made beside it.
/// False when `gone` says that nobody waits any more.
pub(super) async fn placed(glass: &HtmlElement, gone: impl Fn() -> bool) -> bool {
    while !glass.is_connected() {
        if gone() {
            return false;
        }
        let frame = js_sys::Promise::new(&mut |done, _| {
            let _ = web_sys::window().map(|window| window.request_animation_frame(&done));
        });
        let _ = wasm_bindgen_futures::JsFuture::from(frame).await;
    }
    !gone()
}

/// What happens at the emulator, as its page hears of it.
pub(super) struct Handlers {
    /// Somebody typed, or used the mouse in a program that wants it so.
    pub(super) typed: Box<dyn Fn(String)>,
    /// Bytes that are no text (old mouse reports), one a character.
    pub(super) binary: Box<dyn Fn(String)>,
    /// A key goes down; `false` keeps it from the terminal.
    pub(super) key: Box<dyn Fn(KeyboardEvent) -> bool>,
    /// A link was clicked.
    pub(super) link: Box<dyn Fn(String)>,
    /// The wheel was turned up, and no program in the terminal uses it.
    pub(super) wheel: Box<dyn Fn()>,
    /// The bell rang.
    pub(super) bell: Box<dyn Fn()>,
    /// The cursor moved.
    pub(super) moved: Box<dyn Fn()>,
}

/// One emulator in its element.
pub(super) struct Emulator {
    terminal: Lacking,
    parent: HtmlElement,
    /// Width and height of a letter of one pixel. Measured here, since the emulator draws, and knows, a new size only later.
    em: (f64, f64),
    /// What JavaScript calls; lives as long as the emulator.
    kept: RefCell<Vec<Box<dyn Any>>>,
}

impl Emulator {
    /// Makes one of this size in `parent`. Call [`load`] before.
    pub(super) fn new(parent: &HtmlElement, cols: u16, rows: u16, font: f64) -> Self {
        let options = TerminalOptions::new();
        options
            .with_cols(cols.into())
            .with_rows(rows.into())
            .with_scrollback(0)
            .with_disable_stdin(true)
            .with_cursor_blink(false)
            .with_mac_option_is_meta(true)
            .with_font_family(FAMILY);
        set(&options, "fontSize", &font.into());
        set(&options, "minimumContrastRatio", &4.5.into());
        set(&options, "allowProposedApi", &JsValue::TRUE);
        set(&options, "theme", &theme(parent));
        let terminal: Lacking = Terminal::new(&options).unchecked_into();
        let it = Self { terminal, parent: parent.clone(), em: em(parent), kept: RefCell::default() };
        it.load_addon(&Unicode11Addon::new());
        set(&it.terminal.unicode(), "activeVersion", &"11".into());
        it.swallow();
        it.terminal.open(parent.clone());
        it.typing(false);
        it
    }

    /// Connects what happens with what is done about it.
    pub(super) fn listen(&self, handlers: Handlers) {
        let Handlers { typed, binary, key, link, wheel, bell, moved } = handlers;
        self.terminal.on_data(&self.keep(Closure::<dyn Fn(String)>::new(typed)));
        self.terminal.on_binary(&self.keep(Closure::<dyn Fn(String)>::new(binary)));
        self.terminal.attach_custom_key_event_handler(&self.keep(Closure::<dyn Fn(KeyboardEvent) -> bool>::new(key)));
        self.terminal.on_bell(&self.keep(Closure::<dyn Fn()>::new(bell)));
        self.terminal.on_cursor_move(&self.keep(Closure::<dyn Fn()>::new(moved)));
        // The emulator would make arrow keys of the wheel, since a screen of tmux has nothing to scroll: a shell would turn its
        // pages of old commands. What people want to see then is what was said before.
        let modes: Lacking = self.terminal.clone().unchecked_into();
        let turn = move |event: WheelEvent| {
            let used = modes.modes().mouse() != "none";
            if !used && event.delta_y() < 0.0 {
                wheel();
            }
            used
        };
        self.terminal.on_wheel(&self.keep(Closure::<dyn Fn(WheelEvent) -> bool>::new(turn)));
        // Both kinds of links call with the event and the address: those that are seen in the text, and OSC 8.
        let open = self.keep(Closure::<dyn Fn(JsValue, String)>::new(move |_, address| link(address)));
        self.load_addon(&WebLinksAddon::new(Some(&open), None, None));
        let handler = Object::new();
        set(&handler, "activate", &open);
        set(&self.terminal.options(), "linkHandler", &handler);
    }

    /// Draws terminal bytes.
    pub(super) fn write(&self, bytes: &Uint8Array) {
        self.terminal.write_bytes(bytes);
    }

    /// Draws text, for recordings.
    pub(super) fn write_text(&self, text: &str) {
        self.terminal.write(text);
    }

    /// Empties it.
    pub(super) fn reset(&self) {
        self.terminal.reset();
    }

    /// Another grid; what its session has, never what fits here.
    pub(super) fn resize(&self, cols: u16, rows: u16) {
        if (self.terminal.get_cols(), self.terminal.get_rows()) != (cols.into(), rows.into()) {
            self.terminal.resize(cols.into(), rows.into());
        }
    }

    /// Takes no keys for now, but keeps the focus: they would be the page's.
    pub(super) fn hold_keys(&self) {
        set(&self.terminal.options(), "disableStdin", &JsValue::TRUE);
    }

    /// Whether keys are taken. Where they are not, it takes no focus either, so that the page's own keys work.
    pub(super) fn typing(&self, on: bool) {
        set(&self.terminal.options(), "disableStdin", &(!on).into());
        if let Some(field) = self.field() {
            field.set_disabled(!on);
        }
        if on && !touch() {
            self.terminal.focus();
        }
    }

    /// Presses a key that went down elsewhere, and takes the focus for those that follow. False: nothing came of it here, and
    /// the browser goes on with it where the focus is now.
    pub(super) fn press(&self, event: &KeyboardEvent) -> bool {
        self.terminal.focus();
        // An event has all that a new one is made from.
        let again = Again::new(&event.type_(), event);
        self.field().and_then(|field| field.dispatch_event(again.unchecked_ref()).ok()).is_some_and(|goes_on| !goes_on)
    }

    /// Puts the focus into it, where it takes keys.
    pub(super) fn focus(&self) {
        self.terminal.focus();
    }

    /// Reads the lines to a screen reader.
    pub(super) fn read_aloud(&self, on: bool) {
        set(&self.terminal.options(), "screenReaderMode", &on.into());
    }

    /// The selected text; empty if nothing is.
    pub(super) fn selection(&self) -> String {
        if self.terminal.has_selection() { self.terminal.get_selection() } else { String::new() }
    }

    /// Takes the colours of the page's theme.
    pub(super) fn recolor(&self) {
        set(&self.terminal.options(), "theme", &theme(&self.parent));
    }

    /// The size of the letters.
    fn font(&self) -> f64 {
        Reflect::get(&self.terminal.options(), &"fontSize".into()).ok().and_then(|size| size.as_f64()).unwrap_or(13.0)
    }

    /// Takes letters of this size.
    pub(super) fn lay(&self, letters: Letters) {
        let grid = (self.terminal.get_cols(), self.terminal.get_rows());
        let size = letters.size(self.room(), grid, self.em, dots());
        if (self.font() - size).abs() > 0.01 {
            set(&self.terminal.options(), "fontSize", &size.into());
        }
    }

    /// Letters larger or smaller than these.
    pub(super) fn beside(&self, by: f64) -> Letters {
        Letters::beside(self.font(), by)
    }

    /// Pans to the cursor where the grid is larger than its window; its column only `along` the line too.
    pub(super) fn follow(&self, along: bool) {
        const AROUND: f64 = 2.0;
        let Some(glass) = self.parent.parent_element() else { return };
        let buffer = self.terminal.get_buffer().get_active();
        let (wide, high) = rules::cell(self.font(), self.em, dots());
        let near = |place: u32, cell: f64, from: i32, room: i32| {
            let (place, from, room) = (f64::from(place) * cell, f64::from(from), f64::from(room));
            // The grid begins below a padding, and ends before one.
            let (least, most) = (place + (AROUND + 1.0) * cell + PADDING - room, place - AROUND * cell);
            from.min(most).max(least).max(0.0) as i32
        };
        glass.set_scroll_top(near(buffer.get_cursor_y(), high, glass.scroll_top(), glass.client_height()));
        if along {
            glass.set_scroll_left(near(buffer.get_cursor_x(), wide, glass.scroll_left(), glass.client_width()));
        }
    }

    /// The grid that its window has room for, at letters of `font`.
    pub(super) fn grid_for_room(&self, font: f64) -> (u16, u16) {
        let (room, cell) = (self.room(), rules::cell(font, self.em, dots()));
        ((room.0 / cell.0) as u16, (room.1 / cell.1) as u16)
    }

    /// What the grid may fill, without the padding around it.
    fn room(&self) -> (f64, f64) {
        let glass = self.parent.parent_element().map_or((0, 0), |glass| (glass.client_width(), glass.client_height()));
        ((f64::from(glass.0) - PADDING).max(40.0), (f64::from(glass.1) - PADDING).max(40.0))
    }

    fn field(&self) -> Option<HtmlTextAreaElement> {
        self.parent.query_selector("textarea").ok()?.and_then(|field| field.dyn_into().ok())
    }

    fn load_addon(&self, addon: &xterm_js_rs::TerminalAddon) {
        let addon: &JsValue = addon.as_ref();
        self.terminal.load_addon(addon.clone().unchecked_into());
    }

    fn swallow(&self) {
        let hooks = self.terminal.parser();
        let yes = self.keep(Closure::<dyn Fn() -> bool>::new(|| true));
        let id = |prefix: &str, middle: &str, last: &str| {
            let id = Object::new();
            for (name, value) in [("prefix", prefix), ("intermediates", middle), ("final", last)] {
                if !value.is_empty() {
                    set(&id, name, &value.into());
                }
            }
            id
        };
        for (prefix, middle, last) in ASKING {
            hooks.csi(&id(prefix, middle, last), &yes);
        }
        for (middle, last) in ASKING_DCS {
            hooks.dcs(&id("", middle, last), &yes);
        }
        for number in ASKING_OSC {
            hooks.osc(number, &yes);
        }
    }

    fn keep<T: ?Sized + 'static>(&self, closure: Closure<T>) -> Function {
        let function = closure.as_ref().unchecked_ref::<Function>().clone();
        self.kept.borrow_mut().push(Box::new(closure));
        function
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        Disposable::dispose(&self.terminal);
    }
}

fn set(object: &JsValue, name: &str, value: &JsValue) {
    let _ = Reflect::set(object, &name.into(), value);
}

/// The colours as the stylesheet says (`--ansi-0` … in tokens.css). A custom property is not resolved until an element has it as
/// its colour, so one is asked for each.
fn theme(parent: &HtmlElement) -> JsValue {
    let theme = Object::new();
    let probe = web_sys::window().and_then(|window| window.document()).and_then(|page| page.create_element("i").ok());
    let Some(probe) = probe.and_then(|probe| probe.dyn_into::<HtmlElement>().ok()) else { return theme.into() };
    let _ = parent.append_child(&probe);
    let color = |name: &str| {
        let _ = probe.style().set_property("color", &format!("var({name})"));
        let shown = web_sys::window()?.get_computed_style(&probe).ok()??;
        shown.get_property_value("color").ok()
    };
    let named = [
        ("background", "--glass"),
        ("foreground", "--glass-text"),
        ("cursor", "--glass-cursor"),
        ("cursorAccent", "--glass"),
        ("selectionBackground", "--glass-selection"),
    ];
    for (name, property) in named {
        if let Some(color) = color(property) {
            set(&theme, name, &color.into());
        }
    }
    for (n, name) in ANSI.iter().enumerate() {
        if let Some(color) = color(&format!("--ansi-{n}")) {
            set(&theme, name, &color.into());
        }
    }
    probe.remove();
    theme.into()
}

/// Whether there is only touch: there a focus brings a keyboard over half the screen, so it is not moved; the key bar is there for that.
pub(super) fn touch() -> bool {
    let touch = web_sys::window().and_then(|window| window.match_media("(hover: none)").ok()?);
    touch.is_some_and(|touch| touch.matches())
}

/// Dots of the screen in a pixel.
fn dots() -> f64 {
    web_sys::window().map_or(1.0, |window| window.device_pixel_ratio())
}

/// Width and height of a letter of one pixel.
fn em(parent: &HtmlElement) -> (f64, f64) {
    const LETTERS: u32 = 50;
    const SIZE: f64 = 100.0;
    let usual = (0.61, 1.2);
    let page = web_sys::window().and_then(|window| window.document());
    let probe = page.and_then(|page| page.create_element("span").ok()?.dyn_into::<HtmlElement>().ok());
    let Some(probe) = probe else { return usual };
    let style =
        format!("position:absolute;visibility:hidden;white-space:pre;line-height:normal;font:{SIZE}px {FAMILY}");
    probe.style().set_css_text(&style);
    probe.set_text_content(Some(&"W".repeat(LETTERS as usize)));
    let _ = parent.append_child(&probe);
    let (width, height) = (f64::from(probe.offset_width()), f64::from(probe.offset_height()));
    probe.remove();
    if width > 0.0 { (width / SIZE / f64::from(LETTERS), height / SIZE) } else { usual }
}

/// Strings as a list of JavaScript, for the subprotocols of a socket.
pub(super) fn list(words: &[&str]) -> Array {
    words.iter().map(|word| JsValue::from(*word)).collect()
}
