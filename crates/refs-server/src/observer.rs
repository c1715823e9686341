//! Who is told of what a server does.

use std::{fmt, sync::Arc};

use refs_registry::ErrorKind;
use refs_url::Host;
use tokio::sync::mpsc::UnboundedSender;

use crate::Answered;

/// What is told of each answer, and of each question to an upstream. It is called where requests are answered, so it must
/// not block.
pub trait Observer: fmt::Debug + Send + Sync {
    /// An answer has left, or was given up. A client that has all of an answer has it after this call.
    fn answered(&self, answered: &Answered);

    /// A mirror has asked `upstream` for something, and failed for `error` if it did. One question may take several requests.
    fn asked(&self, upstream: &Host, error: Option<ErrorKind>) {
        let _ = (upstream, error);
    }
}

/// A receiver that is gone is no error.
impl Observer for UnboundedSender<Answered> {
    fn answered(&self, answered: &Answered) {
        drop(self.send(answered.clone()));
    }
}

/// All who are told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Observers(Arc<[Arc<dyn Observer>]>);

impl Observers {
    pub(crate) fn new(observers: &[Arc<dyn Observer>]) -> Self {
        Self(observers.into())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn answered(&self, answered: &Answered) {
        self.0.iter().for_each(|observer| observer.answered(answered));
    }

    pub(crate) fn asked(&self, upstream: &Host, error: Option<ErrorKind>) {
        self.0.iter().for_each(|observer| observer.asked(upstream, error));
    }
}
