//! The password: in the configuration, in a file of its own, or in a file of libpq's, read at every connection.

use std::io::Read;
use std::path::Path;

use super::address::Address;
use super::trouble::Trouble;
use crate::config::Secret;

/// No file of passwords is longer.
const MOST: u64 = 64 << 10;

/// The password for a database, if there is any.
pub(super) fn find(address: &Address, file: Option<&Path>, database: &str) -> Result<Option<Secret>, Trouble> {
    if let Some(file) = file {
        let text = read(file)?;
        let password = text.trim_end_matches(['\r', '\n']);
        if password.is_empty() {
            let why = format!("{}: the file of the password is empty", file.display());
            return Err(Trouble::new(why, "write the password into it"));
        }
        return Ok(Some(Secret::new(password)));
    }
    if address.password.is_some() {
        return Ok(address.password.clone());
    }
    let Some(file) = &address.passfile else { return Ok(None) };
    Ok(in_passfile(&read(file)?, address, database))
}

fn read(file: &Path) -> Result<String, Trouble> {
    let mut text = String::new();
    let read = std::fs::File::open(file).and_then(|file| file.take(MOST).read_to_string(&mut text));
    read.map_err(|error| {
        let why = format!("{}: the password cannot be read: {error}", file.display());
        Trouble::new(why, "let the user of tidewatch read the file")
    })?;
    Ok(text)
}

/// The first line `host:port:database:user:password` that fits; `*` fits everything.
fn in_passfile(text: &str, address: &Address, database: &str) -> Option<Secret> {
    let socket = address.socket().is_some();
    let host = if socket { "localhost" } else { address.host() };
    let port = address.port().to_string();
    let wanted = [host, &port, database, address.user.as_deref().unwrap_or_default()];
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = fields(line);
        let fits = |(field, wanted): (&String, &&str)| field == "*" || field == wanted;
        match fields.as_slice() {
            [named @ .., password] if named.len() == 4 && named.iter().zip(&wanted).all(fits) => {
                Some(Secret::new(password.as_str()))
            }
            _ => None,
        }
    })
}

/// Five fields; `\:` and `\\` stand for the characters themselves.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ':' if fields.len() < 5 => fields.push(String::new()),
            letter => {
                let letter = if letter == '\\' { letters.next().unwrap_or('\\') } else { letter };
                if let Some(field) = fields.last_mut() {
                    field.push(letter);
                }
            }
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_has_the_password() {
        let address = Address::parse("host=db user=me").unwrap();
        let file = "# comment\nother:*:*:*:no\ndb:5432:app:me:a\\:b\\\\c\n*:*:*:me:any\n";
        let found = |database: &str| in_passfile(file, &address, database).map(|secret| secret.expose().to_owned());
        assert_eq!(found("app").as_deref(), Some("a:b\\c"));
        assert_eq!(found("postgres").as_deref(), Some("any"));
        let stranger = Address::parse("host=db user=you").unwrap();
        assert_eq!(in_passfile(file, &stranger, "app"), None);
    }

    #[test]
    fn a_file_of_its_own_wins_and_is_named_when_it_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        let address = Address::parse("host=db user=me password=old").unwrap();
        let trouble = find(&address, Some(&file), "app").unwrap_err();
        assert!(trouble.why.contains("password: the password cannot be read"), "{}", trouble.why);
        std::fs::write(&file, "new\n").unwrap();
        assert_eq!(find(&address, Some(&file), "app"), Ok(Some(Secret::new("new"))));
    }
}
