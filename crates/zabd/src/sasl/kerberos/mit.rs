//! MIT's library, through `libgssapi`.
//!
//! Two things need `unsafe`, since `libgssapi` has no words for them: a credential out of a keytab that is named by its path
//! (`gss_acquire_cred_from`), and where the library finds its configuration, which it takes from the environment alone.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr;

use libgssapi::context::{ClientCtx, CtxFlags, SecurityContext as Established, ServerCtx};
use libgssapi::credential::Cred;
use libgssapi::error::{Error, MajorFlags};
use libgssapi::name::Name;
use libgssapi::oid::{GSS_MECH_KRB5, GSS_NT_KRB5_PRINCIPAL};
use libgssapi_sys as sys;
use zabd_sasl::gssapi::{SecurityContext, Stepped};
use zabd_sasl::kerberos::Login;

use super::{Context, Library};

/// Where the library finds `krb5.conf`.
const CONFIGURATION: &str = "KRB5_CONFIG";

/// Where the process keeps its own tickets.
const TICKETS: &CStr = c"MEMORY:zabd";

/// The library.
#[derive(Debug)]
pub(super) struct Mit;

impl Library for Mit {
    fn check(&self, login: &Login) -> Result<(), String> {
        credential(login, Usage::Accept).map(drop)
    }

    fn listener(&self, login: &Login) -> Result<Context, String> {
        Ok(Box::new(Listening(ServerCtx::new(Some(credential(login, Usage::Accept)?)))))
    }

    fn dialler(&self, login: &Login, service: &str) -> Result<(Context, String), String> {
        let own = credential(login, Usage::Initiate)?;
        let name = own.name().and_then(|name| name.display_name()).map_err(text)?;
        let principal = String::from_utf8_lossy(&name).into_owned();
        // As in Java, both are in one realm if nothing else is said.
        let realm = principal.split_once('@').map_or("", |(_, realm)| realm);
        let whole = if service.contains('@') { service.to_owned() } else { format!("{service}@{realm}") };
        let target = Name::new(whole.as_bytes(), Some(GSS_NT_KRB5_PRINCIPAL)).map_err(text)?;
        let flags = CtxFlags::GSS_C_MUTUAL_FLAG | CtxFlags::GSS_C_INTEG_FLAG | CtxFlags::GSS_C_SEQUENCE_FLAG;
        let context = ClientCtx::new(Some(own), target, flags, Some(GSS_MECH_KRB5));
        Ok((Box::new(Dialling(context, whole)), principal))
    }

    fn default_realm(&self) -> Result<String, String> {
        // As Java finds it out: a principal without a realm is given one.
        let whole = Name::new(b"any", Some(GSS_NT_KRB5_PRINCIPAL))
            .and_then(|name| name.canonicalize(Some(GSS_MECH_KRB5)))
            .and_then(|name| name.display_name())
            .map_err(text)?;
        let whole = String::from_utf8_lossy(&whole).into_owned();
        whole.split_once('@').map(|(_, realm)| realm.to_owned()).ok_or(whole)
    }
}

/// A server's end of an exchange.
struct Listening(ServerCtx);

impl SecurityContext for Listening {
    fn step(&mut self, token: &[u8]) -> Result<Stepped, String> {
        let answer = self.0.step(token, None).map_err(text)?;
        let peer = if self.0.is_complete() {
            let name = self.0.source_name().and_then(|name| name.display_name());
            let name = name.map_err(text)?;
            Some(String::from_utf8(name.to_vec()).map_err(|_| "The principal is not UTF-8".to_owned())?)
        } else {
            None
        };
        Ok(Stepped { token: answer.map(|token| token.to_vec()), peer })
    }

    fn wrap(&mut self, message: &[u8]) -> Result<Vec<u8>, String> {
        wrapped(&mut self.0, message)
    }

    fn unwrap(&mut self, token: &[u8]) -> Result<Vec<u8>, String> {
        unwrapped(&mut self.0, token)
    }
}

/// The end of whoever dials a server, of this principal.
struct Dialling(ClientCtx, String);

impl SecurityContext for Dialling {
    fn step(&mut self, token: &[u8]) -> Result<Stepped, String> {
        let token = Some(token).filter(|token| !token.is_empty());
        let answer = self.0.step(token, None).map_err(text)?;
        // Who has a key of that principal has shown it.
        let peer = self.0.is_complete().then(|| self.1.clone());
        Ok(Stepped { token: answer.map(|token| token.to_vec()), peer })
    }

    fn wrap(&mut self, message: &[u8]) -> Result<Vec<u8>, String> {
        wrapped(&mut self.0, message)
    }

    fn unwrap(&mut self, token: &[u8]) -> Result<Vec<u8>, String> {
        unwrapped(&mut self.0, token)
    }
}

/// Signed, and readable by everybody: whoever serves ZooKeeper offers nothing else.
fn wrapped(context: &mut impl Established, message: &[u8]) -> Result<Vec<u8>, String> {
    context.wrap(false, message).map(|token| token.to_vec()).map_err(text)
}

fn unwrapped(context: &mut impl Established, token: &[u8]) -> Result<Vec<u8>, String> {
    context.unwrap(token).map(|message| message.to_vec()).map_err(text)
}

/// What the library says; behind "unspecified" stands what it is about.
fn text(error: Error) -> String {
    let text = error.to_string();
    let specific = text.strip_prefix("Unspecified GSS failure.").and_then(|rest| rest.split_once(" ("));
    specific.and_then(|(_, text)| text.strip_suffix(')')).map_or_else(|| text.clone(), str::to_owned)
}

/// What a credential is for.
#[derive(Clone, Copy)]
enum Usage {
    Accept,
    Initiate,
}

/// The credential of whoever is known by a key, for contexts of Kerberos alone.
fn credential(login: &Login, usage: Usage) -> Result<Cred, String> {
    let keytab = login
        .keytab
        .as_deref()
        .map(|path| CString::new([b"FILE:", path.as_os_str().as_bytes()].concat()))
        .transpose()
        .map_err(|_| "The path of the keytab has a zero in it".to_owned())?;
    let keytab = keytab.as_deref();
    let store: Vec<_> = match usage {
        Usage::Accept => keytab.map(|path| (c"keytab", path)).into_iter().collect(),
        // Tickets are kept by the process, and the library gets new ones by the key before they expire.
        Usage::Initiate => {
            keytab.map(|path| (c"client_keytab", path)).into_iter().chain([(c"ccache", TICKETS)]).collect()
        }
    };
    acquire(&login.principal, &store, usage).map_err(text)
}

#[allow(unsafe_code)]
fn acquire(principal: &str, store: &[(&CStr, &CStr)], usage: Usage) -> Result<Cred, Error> {
    let usage = match usage {
        Usage::Accept => sys::GSS_C_ACCEPT,
        Usage::Initiate => sys::GSS_C_INITIATE,
    };
    let checked = |major: u32, minor: u32| {
        if major == sys::GSS_S_COMPLETE {
            return Ok(());
        }
        Err(Error { major: MajorFlags::from_bits_retain(major), minor })
    };
    let (mut minor, mut name, mut credential) = (0, ptr::null_mut(), ptr::null_mut());
    let mut kind = raw_oid(&GSS_NT_KRB5_PRINCIPAL);
    let mut mechanism = raw_oid(&GSS_MECH_KRB5);
    let mut mechanisms = sys::gss_OID_set_desc { count: 1, elements: &raw mut mechanism };
    let mut text =
        sys::gss_buffer_desc { length: principal.len(), value: principal.as_ptr().cast_mut().cast() };
    let mut elements: Vec<_> = store
        .iter()
        .map(|(key, value)| sys::gss_key_value_element_desc { key: key.as_ptr(), value: value.as_ptr() })
        .collect();
    let store = sys::gss_key_value_set_desc { count: elements.len() as u32, elements: elements.as_mut_ptr() };
    // SAFETY: every pointer is to a value of this frame, or into `principal`, `store` and constants, which outlive the calls;
    // what is only read is declared so in RFC 2744. `name` is released once, behind its last use, and `credential` belongs to the
    // library's wrapper, which releases it.
    unsafe {
        let major = sys::gss_import_name(&raw mut minor, &raw mut text, &raw mut kind, &raw mut name);
        checked(major, minor)?;
        let major = sys::gss_acquire_cred_from(
            &raw mut minor,
            name,
            sys::_GSS_C_INDEFINITE,
            &raw mut mechanisms,
            usage as sys::gss_cred_usage_t,
            &raw const store,
            &raw mut credential,
            ptr::null_mut(),
            ptr::null_mut(),
        );
        let acquired = checked(major, minor).map(|()| Cred::from_c(credential));
        // A failed call has told why; one that only frees has nothing to tell.
        let mut ignored = 0;
        sys::gss_release_name(&raw mut ignored, &raw mut name);
        acquired
    }
}

/// An identifier as C has it; it is only read.
fn raw_oid(bytes: &[u8]) -> sys::gss_OID_desc {
    sys::gss_OID_desc { length: bytes.len() as u32, elements: bytes.as_ptr().cast_mut().cast() }
}

/// Names the library's configuration, as `-Djava.security.krb5.conf` does for Java.
#[allow(unsafe_code)]
pub(super) fn name_configuration(path: &Path) {
    let threads = std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    assert!(threads <= 1, "the environment is changed beside other threads");
    // SAFETY: no other thread could read the environment meanwhile.
    unsafe { std::env::set_var(CONFIGURATION, path) };
}
