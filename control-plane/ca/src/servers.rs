use byrnie_identity::Account;
use rustls_pki_types::ServerName;

/// The workloads that others call by DNS names, with the names that their leaves hold beside the identity. Who is
/// none of them gets no name; what a signing request asks for says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Servers(Vec<(Account, Vec<ServerName<'static>>)>);

impl Servers {
    /// None: leaves hold identities alone.
    pub fn none() -> Self {
        Self::default()
    }

    /// With one more.
    #[must_use]
    pub fn with(mut self, account: Account, names: Vec<ServerName<'static>>) -> Self {
        self.0.push((account, names));
        self
    }

    /// The names of an account.
    pub fn names_of(&self, account: &Account) -> &[ServerName<'static>] {
        self.0.iter().find(|(server, _)| server == account).map_or(&[], |(_, names)| names)
    }
}
