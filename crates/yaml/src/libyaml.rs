//! libyaml behind safe types: text to [`Event`]s, and events to text. The only unsafe code of this crate.
//!
//! In: UTF-8 text, or events in a legal order. Out: events with marks, or YAML text.
//!
//! **Invariant:** no pointer leaves this file; every event is copied out and freed before the next is asked for.
//!
//! Not here: what the events mean (`compose`), which style a scalar deserves (`emit`).
#![expect(unsafe_code, reason = "libyaml-rs is libyaml translated to Rust: its interface is C's")]

use libyaml_rs as sys;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr;

/// A place in the text: line and column from 0, column in characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl From<sys::yaml_mark_t> for Mark {
    fn from(mark: sys::yaml_mark_t) -> Self {
        let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        Mark { line: number(mark.line), column: number(mark.column) }
    }
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ScalarStyle {
    /// Without quotes.
    #[default]
    Plain,
    /// `'…'`
    SingleQuoted,
    /// `"…"`
    DoubleQuoted,
    /// `|`
    Literal,
    /// `>`
    Folded,
}

/// Anchor and tag, before they mean anything.
#[derive(Debug, Default)]
pub(crate) struct Properties {
    pub(crate) anchor: Option<String>,
    pub(crate) tag: Option<String>,
}

#[derive(Debug)]
pub(crate) enum EventKind {
    StreamStart,
    StreamEnd,
    DocumentStart,
    DocumentEnd,
    Alias(String),
    /// `implicit`: the tag is to be resolved from the text as for a plain scalar.
    Scalar {
        properties: Properties,
        text: String,
        implicit: bool,
        style: ScalarStyle,
    },
    SequenceStart(Properties),
    SequenceEnd,
    MappingStart(Properties),
    MappingEnd,
}

#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) kind: EventKind,
    pub(crate) start: Mark,
    pub(crate) end: Mark,
}

/// What libyaml says about text it cannot read.
#[derive(Debug)]
pub(crate) struct Problem {
    /// The complaint, in libyaml's words.
    pub(crate) problem: String,
    /// Where; nothing where only a byte offset is known.
    pub(crate) mark: Option<Mark>,
    /// What was being read, and where that began.
    pub(crate) context: Option<(String, Mark)>,
    /// Byte offset of what the reader refused.
    pub(crate) offset: usize,
    /// The character that the reader refused, if it said.
    pub(crate) refused: Option<char>,
}

/// Reads events from text.
pub(crate) struct Parser<'a> {
    raw: *mut sys::yaml_parser_t,
    text: PhantomData<&'a str>,
}

impl<'a> Parser<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let raw = Box::into_raw(Box::new(MaybeUninit::<sys::yaml_parser_t>::uninit())).cast();
        // SAFETY: `raw` is a fresh allocation of the right type that never moves (libyaml keeps a pointer to it);
        // `text` outlives the parser by the lifetime on the type.
        unsafe {
            // libyaml-rs fails only by aborting on exhausted memory.
            let _ok = sys::yaml_parser_initialize(raw);
            sys::yaml_parser_set_encoding(raw, sys::YAML_UTF8_ENCODING);
            sys::yaml_parser_set_input_string(raw, text.as_ptr(), text.len() as u64);
        }
        Parser { raw, text: PhantomData }
    }

    /// The next event. After an error or the end of the stream there is none to ask for.
    pub(crate) fn next(&mut self) -> Result<Event, Problem> {
        let mut event = MaybeUninit::<sys::yaml_event_t>::uninit();
        // SAFETY: the parser is initialised and at its address; libyaml fills the event when it says ok, and the event
        // is deleted exactly once, after everything was copied out of it.
        unsafe {
            if sys::yaml_parser_parse(self.raw, event.as_mut_ptr()).fail {
                return Err(self.problem());
            }
            let mut event = event.assume_init();
            let copied = copy_event(&event);
            sys::yaml_event_delete(&raw mut event);
            Ok(copied)
        }
    }

    fn problem(&self) -> Problem {
        // SAFETY: the parser is initialised; messages are static C strings or null.
        unsafe {
            let parser = &**self.raw;
            let reader = parser.error == sys::YAML_READER_ERROR;
            let context = text_at(parser.context.cast());
            Problem {
                problem: text_at(parser.problem.cast()).unwrap_or_else(|| "cannot be read".to_owned()),
                mark: (!reader).then(|| parser.problem_mark.into()),
                context: context.map(|context| (context, parser.context_mark.into())),
                offset: usize::try_from(parser.problem_offset).unwrap_or(usize::MAX),
                refused: u32::try_from(parser.problem_value).ok().and_then(char::from_u32),
            }
        }
    }
}

impl Drop for Parser<'_> {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, deleted only here; the box was made from the same type.
        unsafe {
            sys::yaml_parser_delete(self.raw);
            drop(Box::from_raw(self.raw.cast::<MaybeUninit<sys::yaml_parser_t>>()));
        }
    }
}

/// # Safety
/// `pointer` is null or a NUL-terminated string that lives during the call.
unsafe fn text_at(pointer: *const u8) -> Option<String> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: by the contract above.
    let text = unsafe { std::ffi::CStr::from_ptr(pointer.cast()) };
    Some(text.to_string_lossy().into_owned())
}

/// # Safety
/// `event` was filled by libyaml and not deleted yet.
unsafe fn copy_event(event: &sys::yaml_event_t) -> Event {
    // SAFETY: the union's field is chosen by the event's type, as libyaml documents.
    let kind = unsafe {
        match event.type_ {
            sys::YAML_STREAM_START_EVENT => EventKind::StreamStart,
            sys::YAML_DOCUMENT_START_EVENT => EventKind::DocumentStart,
            sys::YAML_DOCUMENT_END_EVENT => EventKind::DocumentEnd,
            sys::YAML_ALIAS_EVENT => EventKind::Alias(text_at(event.data.alias.anchor).unwrap_or_default()),
            sys::YAML_SCALAR_EVENT => {
                let scalar = &event.data.scalar;
                let bytes: &[u8] = if scalar.value.is_null() {
                    &[]
                } else {
                    std::slice::from_raw_parts(scalar.value, scalar.length as usize)
                };
                EventKind::Scalar {
                    properties: Properties { anchor: text_at(scalar.anchor), tag: text_at(scalar.tag) },
                    text: String::from_utf8_lossy(bytes).into_owned(),
                    implicit: scalar.plain_implicit,
                    style: match scalar.style {
                        sys::YAML_SINGLE_QUOTED_SCALAR_STYLE => ScalarStyle::SingleQuoted,
                        sys::YAML_DOUBLE_QUOTED_SCALAR_STYLE => ScalarStyle::DoubleQuoted,
                        sys::YAML_LITERAL_SCALAR_STYLE => ScalarStyle::Literal,
                        sys::YAML_FOLDED_SCALAR_STYLE => ScalarStyle::Folded,
                        _ => ScalarStyle::Plain,
                    },
                }
            }
            sys::YAML_SEQUENCE_START_EVENT => {
                let start = &event.data.sequence_start;
                EventKind::SequenceStart(Properties {
                    anchor: text_at(start.anchor),
                    tag: text_at(start.tag),
                })
            }
            sys::YAML_SEQUENCE_END_EVENT => EventKind::SequenceEnd,
            sys::YAML_MAPPING_START_EVENT => {
                let start = &event.data.mapping_start;
                EventKind::MappingStart(Properties { anchor: text_at(start.anchor), tag: text_at(start.tag) })
            }
            sys::YAML_MAPPING_END_EVENT => EventKind::MappingEnd,
            _ => EventKind::StreamEnd,
        }
    };
    Event { kind, start: event.start_mark.into(), end: event.end_mark.into() }
}

/// What to write next. The order is the caller's duty; libyaml answers a wrong one with an error.
#[derive(Debug)]
pub(crate) enum Output<'a> {
    /// A scalar; `plain` and `quoted` say for which styles the tag may be left out.
    Scalar {
        tag: &'a str,
        text: &'a str,
        plain: bool,
        quoted: bool,
        style: Option<ScalarStyle>,
    },
    SequenceStart {
        flow: bool,
    },
    SequenceEnd,
    MappingStart {
        flow: bool,
    },
    MappingEnd,
}

/// Layout of everything that an [`Emitter`] writes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    pub(crate) indent: i32,
    pub(crate) width: i32,
    pub(crate) unicode: bool,
    pub(crate) explicit_start: bool,
    pub(crate) explicit_end: bool,
    pub(crate) canonical: bool,
}

/// Writes one document.
pub(crate) struct Emitter {
    raw: *mut sys::yaml_emitter_t,
    /// Boxed twice so that the pointer libyaml keeps stays good when the emitter moves.
    out: *mut Vec<u8>,
    explicit_end: bool,
}

unsafe fn write_handler(data: *mut c_void, buffer: *mut u8, size: u64) -> i32 {
    // SAFETY: `data` is the vector that `Emitter::new` handed over; libyaml passes `size` readable bytes.
    unsafe {
        let out = &mut *data.cast::<Vec<u8>>();
        out.extend_from_slice(std::slice::from_raw_parts(buffer, size as usize));
    }
    1
}

impl Emitter {
    pub(crate) fn new(layout: Layout) -> Result<Self, String> {
        let raw: *mut sys::yaml_emitter_t =
            Box::into_raw(Box::new(MaybeUninit::<sys::yaml_emitter_t>::uninit())).cast();
        let out = Box::into_raw(Box::new(Vec::new()));
        // SAFETY: fresh allocations of the right types that live until `drop`.
        unsafe {
            let _ok = sys::yaml_emitter_initialize(raw);
            sys::yaml_emitter_set_output(raw, write_handler, out.cast());
            sys::yaml_emitter_set_indent(raw, layout.indent);
            sys::yaml_emitter_set_width(raw, layout.width);
            sys::yaml_emitter_set_unicode(raw, layout.unicode);
            sys::yaml_emitter_set_canonical(raw, layout.canonical);
        }
        let mut emitter = Emitter { raw, out, explicit_end: layout.explicit_end };
        emitter.send(|event| {
            // SAFETY: `event` is writable.
            unsafe { sys::yaml_stream_start_event_initialize(event, sys::YAML_UTF8_ENCODING).ok }
        })?;
        emitter.send(|event| {
            // SAFETY: `event` is writable; null directives mean none.
            unsafe {
                sys::yaml_document_start_event_initialize(
                    event,
                    ptr::null_mut(),
                    ptr::null_mut(),
                    ptr::null_mut(),
                    !layout.explicit_start,
                )
                .ok
            }
        })?;
        Ok(emitter)
    }

    /// Ends the document and gives the text.
    pub(crate) fn finish(mut self) -> Result<String, String> {
        let implicit_end = !self.explicit_end;
        // SAFETY: `event` is writable, in both.
        self.send(|event| unsafe { sys::yaml_document_end_event_initialize(event, implicit_end).ok })?;
        // SAFETY: as above.
        self.send(|event| unsafe { sys::yaml_stream_end_event_initialize(event).ok })?;
        // SAFETY: the vector lives until `drop`, and libyaml only writes during `send`.
        let bytes = unsafe { std::mem::take(&mut *self.out) };
        String::from_utf8(bytes).map_err(|_| "the text written is not UTF-8".to_owned())
    }

    pub(crate) fn write(&mut self, output: &Output<'_>) -> Result<(), String> {
        match output {
            Output::Scalar { tag, text, plain, quoted, style } => {
                if tag.contains('\0') {
                    return Err("a tag cannot hold a NUL".to_owned());
                }
                let length = i32::try_from(text.len()).map_err(|_| "text of more than 2 GiB".to_owned())?;
                let tag = format!("{tag}\0");
                let style = match style {
                    None => sys::YAML_ANY_SCALAR_STYLE,
                    Some(ScalarStyle::Plain) => sys::YAML_PLAIN_SCALAR_STYLE,
                    Some(ScalarStyle::SingleQuoted) => sys::YAML_SINGLE_QUOTED_SCALAR_STYLE,
                    Some(ScalarStyle::DoubleQuoted) => sys::YAML_DOUBLE_QUOTED_SCALAR_STYLE,
                    Some(ScalarStyle::Literal) => sys::YAML_LITERAL_SCALAR_STYLE,
                    Some(ScalarStyle::Folded) => sys::YAML_FOLDED_SCALAR_STYLE,
                };
                self.send(|event| {
                    // SAFETY: `tag` ends with a NUL, `text` is `length` bytes; libyaml copies both.
                    unsafe {
                        sys::yaml_scalar_event_initialize(
                            event,
                            ptr::null(),
                            tag.as_ptr(),
                            text.as_ptr(),
                            length,
                            *plain,
                            *quoted,
                            style,
                        )
                        .ok
                    }
                })
            }
            Output::SequenceStart { flow } => {
                let style =
                    if *flow { sys::YAML_FLOW_SEQUENCE_STYLE } else { sys::YAML_BLOCK_SEQUENCE_STYLE };
                // SAFETY: `event` is writable; null anchor and tag mean none.
                self.send(|event| unsafe {
                    sys::yaml_sequence_start_event_initialize(event, ptr::null(), ptr::null(), true, style).ok
                })
            }
            // SAFETY: `event` is writable.
            Output::SequenceEnd => {
                self.send(|event| unsafe { sys::yaml_sequence_end_event_initialize(event).ok })
            }
            Output::MappingStart { flow } => {
                let style = if *flow { sys::YAML_FLOW_MAPPING_STYLE } else { sys::YAML_BLOCK_MAPPING_STYLE };
                // SAFETY: as for sequences.
                self.send(|event| unsafe {
                    sys::yaml_mapping_start_event_initialize(event, ptr::null(), ptr::null(), true, style).ok
                })
            }
            // SAFETY: `event` is writable.
            Output::MappingEnd => {
                self.send(|event| unsafe { sys::yaml_mapping_end_event_initialize(event).ok })
            }
        }
    }

    fn send(&mut self, initialize: impl FnOnce(*mut sys::yaml_event_t) -> bool) -> Result<(), String> {
        let mut event = MaybeUninit::<sys::yaml_event_t>::uninit();
        if !initialize(event.as_mut_ptr()) {
            return Err("libyaml refuses an event".to_owned());
        }
        // SAFETY: the event was just initialised; `yaml_emitter_emit` takes ownership of it.
        unsafe {
            if sys::yaml_emitter_emit(self.raw, event.as_mut_ptr()).fail {
                let problem = text_at((**self.raw).problem.cast());
                return Err(problem.unwrap_or_else(|| "cannot be written".to_owned()));
            }
        }
        Ok(())
    }
}

impl Drop for Emitter {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, deleted only here; the boxes were made from the same types.
        unsafe {
            sys::yaml_emitter_delete(self.raw);
            drop(Box::from_raw(self.raw.cast::<MaybeUninit<sys::yaml_emitter_t>>()));
            drop(Box::from_raw(self.out));
        }
    }
}
