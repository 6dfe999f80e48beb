use std::sync::Arc;

use crate::{gate::Gate, hub::Hub, secret::Secrets};

/// What every stream needs.
pub(crate) struct Shared {
    pub hub: Arc<Hub>,
    pub gate: Box<dyn Gate>,
    pub secrets: Box<dyn Secrets>,
}
