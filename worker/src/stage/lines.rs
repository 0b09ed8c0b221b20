//! Pieces of a stream, put together to whole lines.

/// A line that is longer is handed on in pieces; no event is near it.
const LONGEST: usize = 8 << 20;

/// What has come of a line that has not ended.
#[derive(Debug, Default)]
pub(crate) struct Lines(Vec<u8>);

impl Lines {
    /// Takes a piece in, and returns the lines that it ends, with their ends. Each byte is looked at once and moved once.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Option<Vec<u8>> {
        let end = piece.iter().rposition(|byte| *byte == b'\n').map(|at| self.0.len() + at + 1);
        self.0.extend_from_slice(piece);
        let end = end.or_else(|| (self.0.len() > LONGEST).then_some(self.0.len()))?;
        let rest = self.0.split_off(end);
        Some(std::mem::replace(&mut self.0, rest))
    }

    /// What is left without an end.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_they_were_cut() {
        let text = b"one\n\ntwo three\nfour";
        for size in 1..text.len() {
            let mut lines = Lines::default();
            let whole: Vec<u8> = text.chunks(size).filter_map(|piece| lines.push(piece)).flatten().collect();
            assert_eq!(
                (whole.as_slice(), lines.rest().as_slice()),
                (&b"one\n\ntwo three\n"[..], &b"four"[..]),
                "{size}"
            );
        }
    }

    #[test]
    fn a_line_without_an_end_is_not_kept_for_ever() {
        let mut lines = Lines::default();
        let piece = vec![b'x'; 1 << 20];
        let handed_on: usize = (0..20).filter_map(|_| lines.push(&piece)).map(|whole| whole.len()).sum();
        assert!(handed_on > LONGEST && lines.rest().len() <= LONGEST);
    }
}
