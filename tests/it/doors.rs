//! Who comes in: passwords and certificates, on a listener that speaks TLS and with the programs that use them.

mod passwords;
mod programs;
mod tls;
