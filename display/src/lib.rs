//! Draws a [`tabard_view::View`]: bar, banners, trusted screens and the guests' pixels, and puts
//! the picture up. It holds no policy: what to show was decided before.
//!
//! The way of a pixel: a guest writes into its [`Surface`], says which rectangle changed, the
//! [`Compositor`] copies that rectangle, once, into the [`Frame`], and a presenter
//! ([`headless`], `window`) puts the damage on the glass and confirms it by
//! [`PresenterEvent::Presented`].

#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod art;
mod bar;
mod bell;
mod checked;
mod compositor;
mod font;
mod frame;
pub mod headless;
#[cfg(feature = "kms")]
pub mod kms;
mod login;
mod paint;
mod picture;
mod png_file;
mod pointer;
mod presenter;
mod region;
mod scene;
mod surface;
mod text_page;
mod theme;
mod trusted;
mod verifier;
#[cfg(feature = "window")]
pub mod window;

pub use bell::{Bell, Ringing};
pub use checked::{CheckedCompositor, Compose};
pub use compositor::Compositor;
pub use font::FontError;
pub use frame::{DrawnText, Frame};
pub use picture::{CursorImage, GuestDamage, GuestPicture, Pictures};
pub use png_file::{PngError, png_bytes, read_png, write_png};
pub use presenter::{
    FrameRequest, FrameSender, PresentError, Presenter, PresenterEvent, RawInput, Waker,
};
pub use region::Damage;
pub use surface::{CURSOR_BYTES, CURSOR_SIDE, Surface, SurfaceError, SurfaceShape};
pub use verifier::{Mismatch, Verifier};
