//! Python's `random.Random`: the Mersenne Twister with Python's seeding, so that `random(seed=...)` gives the same.

use num_bigint::BigInt;
use num_traits::Signed as _;
use sha2::Digest as _;

const N: usize = 624;
const M: usize = 397;

/// A generator of pseudo-random numbers.
pub(crate) struct Random {
    state: [u32; N],
    at: usize,
}

impl Random {
    fn by_array(key: &[u32]) -> Self {
        let mut state = [0u32; N];
        state[0] = 19_650_218;
        for i in 1..N {
            state[i] =
                1_812_433_253u32.wrapping_mul(state[i - 1] ^ (state[i - 1] >> 30)).wrapping_add(i as u32);
        }
        let (mut i, mut j) = (1, 0);
        for _ in 0..N.max(key.len()) {
            let mixed = (state[i - 1] ^ (state[i - 1] >> 30)).wrapping_mul(1_664_525);
            state[i] = (state[i] ^ mixed).wrapping_add(key[j]).wrapping_add(j as u32);
            i += 1;
            j = (j + 1) % key.len();
            if i >= N {
                state[0] = state[N - 1];
                i = 1;
            }
        }
        for _ in 0..N - 1 {
            let mixed = (state[i - 1] ^ (state[i - 1] >> 30)).wrapping_mul(1_566_083_941);
            state[i] = (state[i] ^ mixed).wrapping_sub(i as u32);
            i += 1;
            if i >= N {
                state[0] = state[N - 1];
                i = 1;
            }
        }
        state[0] = 0x8000_0000;
        Random { state, at: N }
    }

    /// Seeded with an integer: its magnitude counts.
    pub(crate) fn of_integer(seed: &BigInt) -> Self {
        let digits = seed.abs().to_u32_digits().1;
        Random::by_array(if digits.is_empty() { &[0] } else { &digits })
    }

    /// Seeded with text: the text and its SHA-512 count.
    pub(crate) fn of_text(seed: &str) -> Self {
        let mut bytes = seed.as_bytes().to_vec();
        bytes.extend_from_slice(&sha2::Sha512::digest(seed.as_bytes()));
        Random::of_integer(&BigInt::from_bytes_be(num_bigint::Sign::Plus, &bytes))
    }

    /// Seeded with what nobody can guess.
    pub(crate) fn unpredictable() -> Self {
        use std::hash::{BuildHasher as _, Hasher as _};
        let key: Vec<u32> = (0..8)
            .map(|i| {
                let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
                hasher.write_u32(i);
                hasher.finish() as u32
            })
            .collect();
        Random::by_array(&key)
    }

    fn next(&mut self) -> u32 {
        if self.at >= N {
            for i in 0..N {
                let y = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % N] & 0x7fff_ffff);
                let twist = if y & 1 == 0 { 0 } else { 0x9908_b0df };
                self.state[i] = self.state[(i + M) % N] ^ (y >> 1) ^ twist;
            }
            self.at = 0;
        }
        let mut y = self.state[self.at];
        self.at += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    fn bits(&mut self, count: u32) -> u64 {
        if count <= 32 {
            return u64::from(self.next() >> (32 - count));
        }
        let low = u64::from(self.next());
        let high = u64::from(self.next() >> (64 - count));
        low | (high << 32)
    }

    /// A number below `limit`, as `_randbelow` draws it.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        if limit == 0 {
            return 0;
        }
        let bits = 64 - limit.leading_zeros();
        loop {
            let number = self.bits(bits);
            if number < limit {
                return number;
            }
        }
    }

    /// `random.shuffle`
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = self.below(i as u64 + 1) as usize;
            items.swap(i, j);
        }
    }
}

/// Positions below `limit` as `random.Random(seed).choice` picks them, one after another.
pub fn seeded_picks(seed: &str, count: usize, limit: usize) -> Vec<usize> {
    let mut random = Random::of_text(seed);
    (0..count).map(|_| usize::try_from(random.below(limit as u64)).unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_numbers_as_python() {
        // python3 -c "import random; r = random.Random(1); print([r.randrange(100) for _ in range(5)])"
        let mut random = Random::of_integer(&BigInt::from(1));
        let drawn: Vec<u64> = (0..5).map(|_| random.below(100)).collect();
        assert_eq!(drawn, [17, 72, 97, 8, 32]);
        // python3 -c "import random; r = random.Random('x'); print([r.randrange(1000) for _ in range(3)])"
        let mut random = Random::of_text("x");
        let drawn: Vec<u64> = (0..3).map(|_| random.below(1000)).collect();
        assert_eq!(drawn, [645, 322, 611]);
    }

    #[test]
    fn the_same_order_as_python() {
        let mut items = [1, 2, 3];
        Random::of_integer(&BigInt::from(1)).shuffle(&mut items);
        assert_eq!(items, [2, 3, 1]);
    }
}
