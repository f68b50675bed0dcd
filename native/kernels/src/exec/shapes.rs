//! Checks that the shapes of one step fit its kernel, and names their sizes.

/// Sizes of a step by the letters of its patterns. A pattern is one letter per dimension: R rows, P positions, H heads, and
/// so on; `.` in front stands for any leading dimensions, the same wherever it occurs in the step.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Sizes {
    letters: Vec<(u8, usize)>,
    leading: Option<Vec<usize>>,
}

impl Sizes {
    /// The size of a letter that a pattern has matched, else 0.
    pub(crate) fn of(&self, letter: char) -> usize {
        self.find(letter as u8).unwrap_or(0)
    }

    fn find(&self, letter: u8) -> Option<usize> {
        self.letters.iter().find(|(known, _)| *known == letter).map(|(_, size)| *size)
    }

    /// Fixes a letter beforehand, or checks it.
    pub(crate) fn set(&mut self, letter: char, size: usize) -> Result<(), String> {
        match self.find(letter as u8) {
            None => self.letters.push((letter as u8, size)),
            Some(known) if known == size => {}
            Some(known) => return Err(format!("{letter} is {known} in one place and {size} in another")),
        }
        Ok(())
    }

    pub(crate) fn fit(&mut self, name: &str, shape: &[usize], pattern: &str) -> Result<(), String> {
        let wrong = |why: String| Err(format!("{name} is {shape:?}, where [{}] is needed{why}", describe(pattern)));
        let letters = pattern.trim_start_matches('.').as_bytes();
        let Some(lead) = shape.len().checked_sub(letters.len()) else { return wrong(String::new()) };
        if pattern.starts_with('.') {
            match &self.leading {
                None => self.leading = Some(shape[..lead].to_vec()),
                Some(known) if *known == shape[..lead] => {}
                Some(known) => return wrong(format!(" with {known:?} in front")),
            }
        } else if lead != 0 {
            return wrong(String::new());
        }
        for (&letter, &size) in letters.iter().zip(&shape[lead..]) {
            if letter == b'1' {
                if size != 1 {
                    return wrong(String::new());
                }
            } else if let Err(why) = self.set(letter as char, size) {
                return wrong(format!(": {why}"));
            }
        }
        Ok(())
    }
}

fn describe(pattern: &str) -> String {
    pattern
        .chars()
        .map(|letter| if letter == '.' { "…".into() } else { letter.to_string() })
        .collect::<Vec<_>>()
        .join(", ")
}

/// What is left in front when trailing sizes that multiply to `width` are taken off, as one number; the fewest that do.
pub(crate) fn leading_rows(name: &str, shape: &[usize], width: usize) -> Result<usize, String> {
    let mut trailing = 1usize;
    if width == 1 {
        return Ok(shape.iter().product());
    }
    for axis in (0..shape.len()).rev() {
        trailing = trailing.saturating_mul(shape[axis]);
        if trailing == width {
            return Ok(shape[..axis].iter().product());
        }
    }
    Err(format!("the trailing sizes of {name} {shape:?} do not multiply to {width}"))
}
