//! What one file of the spool has in it: a header, then one message.
//!
//! The header is `MOOR`, the version of the format, the length of the message, and the SHA-256 of all three and the message. A file that
//! was cut off, or in which a bit has flipped, is told apart from a whole one; what a whole one of another version has in it is not read.

use moorline_proto::v1;
use prost::Message;
use sha2::{Digest, Sha256};

use crate::link::Lease;

/// Both kinds of record. A record of an offer has no reports; one of an end has the offer as well, so that it can stand alone.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Record {
    /// The job.
    #[prost(string, tag = "1")]
    pub(super) job_id: String,
    /// Its lease.
    #[prost(int64, tag = "2")]
    pub(super) lease_token: i64,
    /// As it was accepted.
    #[prost(message, optional, tag = "3")]
    pub(super) offer: Option<v1::Offer>,
    /// What the server hasn't acknowledged, the end last.
    #[prost(message, repeated, tag = "4")]
    pub(super) reports: Vec<v1::Report>,
}

/// Why a file is no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Flaw {
    #[error("it is cut off, or was changed on the disk")]
    Damaged,
    #[error("a worker of another version wrote it")]
    OtherVersion,
}

const MAGIC: &[u8; 4] = b"MOOR";
const VERSION: u32 = 1;
const BEFORE_SUM: usize = 4 + 4 + 8;
pub(super) const HEADER: usize = BEFORE_SUM + 32;

impl Record {
    pub(super) fn new(lease: &Lease, offer: Option<v1::Offer>, reports: Vec<v1::Report>) -> Self {
        Self {
            job_id: lease.job_id.clone(),
            lease_token: lease.token,
            offer,
            reports,
        }
    }

    pub(super) fn lease(&self) -> Lease {
        Lease::new(&self.job_id, self.lease_token)
    }

    pub(super) fn to_file(&self) -> Vec<u8> {
        seal(VERSION, &self.encode_to_vec())
    }

    pub(super) fn from_file(file: &[u8]) -> Result<Self, Flaw> {
        let (header, message) = file.split_at_checked(HEADER).ok_or(Flaw::Damaged)?;
        let version = u32::from_le_bytes(header[4..8].try_into().map_err(|_| Flaw::Damaged)?);
        // Made again from what is there: it differs from the file wherever the file isn't what was written.
        if seal(version, message) != file {
            return Err(Flaw::Damaged);
        }
        if version != VERSION {
            return Err(Flaw::OtherVersion);
        }
        Self::decode(message).map_err(|_| Flaw::Damaged)
    }
}

fn seal(version: u32, message: &[u8]) -> Vec<u8> {
    let mut file = Vec::with_capacity(HEADER + message.len());
    file.extend_from_slice(MAGIC);
    file.extend_from_slice(&version.to_le_bytes());
    file.extend_from_slice(&(message.len() as u64).to_le_bytes());
    let sum = Sha256::new().chain_update(&file).chain_update(message).finalize();
    file.extend_from_slice(&sum);
    file.extend_from_slice(message);
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let offer = v1::Offer {
            job_id: "job".to_owned(),
            ..Default::default()
        };
        Record::new(&Lease::new("job", 7), Some(offer), vec![v1::Report::default()])
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        assert_eq!(Record::from_file(&record().to_file()), Ok(record()));
    }

    #[test]
    fn a_record_that_is_cut_anywhere_is_known_as_damaged() {
        let file = record().to_file();
        for length in 0..file.len() {
            assert_eq!(Record::from_file(&file[..length]), Err(Flaw::Damaged), "cut to {length}");
        }
        let longer = [file.as_slice(), b"x"].concat();
        assert_eq!(Record::from_file(&longer), Err(Flaw::Damaged));
    }

    #[test]
    fn a_bit_that_flips_anywhere_is_noticed() {
        let file = record().to_file();
        for bit in 0..file.len() * 8 {
            let mut flipped = file.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Record::from_file(&flipped), Err(Flaw::Damaged), "bit {bit}");
        }
    }

    #[test]
    fn a_whole_record_of_another_version_is_not_called_damaged() {
        assert_eq!(Record::from_file(&seal(VERSION + 1, b"anything")), Err(Flaw::OtherVersion));
    }
}
