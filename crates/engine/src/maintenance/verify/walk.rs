//! The walk over a log from commit 1 to the pinned one, deleted commits by their accounts: the chain, and each append.

use eventlake_core::commit::{
    Account, AccountedAppend, AccountedGeneration, Body, Checksum, CommitNumber, Moment, PartitionStart,
    decode_record,
};
use eventlake_core::names::AccountRange;

use super::findings::Findings;
use super::ledger::Ledger;
use super::log::{PinnedLog, missing_commit};
use super::report::{Code, Finding};
use crate::lake::store::StoreError;

const RESTORE_ACCOUNT: &str =
    "put the account back from a backup: it alone names the offsets that its commits passed without a row";

/// An append of the log that counts.
pub(super) struct Append<'a> {
    pub append: &'a AccountedAppend,
    /// When it was committed; of a deleted one, the latest time of its account.
    pub time: Moment,
}

/// What one walk is for.
struct Walk<'a> {
    log: &'a PinnedLog,
    /// Where faults are noted; None in every walk but the first.
    findings: Option<&'a Findings>,
    ledger: Ledger,
    accounts: Vec<AccountRange>,
    /// Accounts that were damaged: nothing is taken from them.
    distrusted: Vec<AccountRange>,
    /// The checksum of the commit before, where known.
    previous: Option<Checksum>,
    /// The account that was read last: overlapping ones must agree.
    last_account: Option<Account>,
    freed: u64,
}

/// Goes through the log, hands out every append up to the pinned commit that counts, and notes what is wrong with the
/// chain. Returns how many commit files stand at numbers that were freed.
///
/// # Errors
/// When a file cannot be read, for another reason than that it is gone.
pub(super) fn walk(
    log: &PinnedLog,
    findings: Option<&Findings>,
    mut each: impl FnMut(Append<'_>),
) -> Result<u64, StoreError> {
    let mut walk = Walk {
        log,
        findings,
        ledger: Ledger::default(),
        accounts: log.accounts()?,
        distrusted: Vec::new(),
        previous: Some(Checksum::NONE),
        last_account: None,
        freed: 0,
    };
    let mut number = CommitNumber(1);
    while number <= log.last_listed {
        number = match walk.account_of(number)? {
            Some(account) => walk.pass_account(number, account, &mut each)?,
            None => walk.pass_commit(number, &mut each)?,
        };
    }
    if findings.is_some() {
        walk.check_freed()?;
    }
    Ok(walk.freed)
}

impl Walk<'_> {
    fn note(&self, finding: Finding) {
        if let Some(findings) = self.findings {
            findings.add(finding);
        }
    }

    /// An account that speaks of this commit and can be read.
    fn account_of(&mut self, number: CommitNumber) -> Result<Option<Account>, StoreError> {
        let speaking: Vec<_> = self
            .accounts
            .iter()
            .copied()
            .filter(|range| range.contains(number) && !self.distrusted.contains(range))
            .collect();
        for range in speaking {
            match self.read_account(range)? {
                Ok(account) => return Ok(Some(account)),
                Err(fault) => {
                    let what = format!(
                        "the account of commits {} to {}: {fault}",
                        range.first, range.last
                    );
                    self.note(Finding::new(Code::AccountDamaged, what, RESTORE_ACCOUNT).of_commit(number));
                    self.distrusted.push(range);
                }
            }
        }
        Ok(None)
    }

    fn read_account(&self, range: AccountRange) -> Result<Result<Account, String>, StoreError> {
        let Some(bytes) = self.log.store.read(&self.log.paths.account(range))? else {
            return Ok(Err("it is gone".to_owned()));
        };
        let account = match decode_record::<Account>(&bytes) {
            Ok((account, _)) => account,
            Err(fault) => return Ok(Err(fault.to_string())),
        };
        if (account.first, account.last) != (range.first, range.last) || account.topic != self.log.topic {
            return Ok(Err(format!(
                "it speaks of commits {} to {} of topic {}",
                account.first, account.last, account.topic
            )));
        }
        Ok(account.fault().map_or(Ok(account), |fault| Err(fault.to_owned())))
    }

    fn pass_account(
        &mut self,
        number: CommitNumber,
        account: Account,
        each: &mut impl FnMut(Append<'_>),
    ) -> Result<CommitNumber, StoreError> {
        self.compare_accounts(&account);
        if number == account.first
            && let Some(previous) = self.previous
            && previous != account.previous
        {
            let what = format!(
                "the account of commits {} to {} follows a commit with another checksum than commit {} has",
                account.first,
                account.last,
                number.0 - 1
            );
            self.note(Finding::new(Code::AccountDiffers, what, RESTORE_ACCOUNT).of_commit(number));
        }
        let mut opened = account.generations.iter().peekable();
        for append in account.appends.iter().filter(|append| append.number >= number) {
            while let Some(generation) = opened.next_if(|opened| opened.number < append.number) {
                self.open(number, generation);
            }
            self.take(append, account.latest, each);
        }
        opened.for_each(|generation| {
            self.open(number, generation);
        });
        // One that was written since the log was pinned may reach behind it.
        self.previous = (account.last <= self.log.fold.number()).then_some(account.commit_checksum);
        let next = account.last.following();
        self.last_account = Some(account);
        Ok(next)
    }

    fn open(&mut self, from: CommitNumber, generation: &AccountedGeneration) {
        if generation.number >= from {
            self.ledger.open(generation);
        }
    }

    /// Two accounts that speak of the same commits say the same of them.
    fn compare_accounts(&self, account: &Account) {
        let Some(last) = self
            .last_account
            .as_ref()
            .filter(|last| account.first <= last.last)
        else {
            return;
        };
        let shared = |number: CommitNumber| account.first <= number && number <= last.last.min(account.last);
        let appends = |of: &Account| -> Vec<AccountedAppend> {
            of.appends
                .iter()
                .filter(|append| shared(append.number))
                .cloned()
                .collect()
        };
        let opened = |of: &Account| -> Vec<AccountedGeneration> {
            of.generations
                .iter()
                .filter(|opened| shared(opened.number))
                .cloned()
                .collect()
        };
        if appends(last) == appends(account) && opened(last) == opened(account) {
            return;
        }
        let what = format!(
            "the accounts of commits {} to {} and {} to {} differ on commits that both speak of",
            last.first, last.last, account.first, account.last
        );
        self.note(Finding::new(Code::AccountDiffers, what, RESTORE_ACCOUNT).of_commit(account.first));
    }

    fn pass_commit(
        &mut self,
        number: CommitNumber,
        each: &mut impl FnMut(Append<'_>),
    ) -> Result<CommitNumber, StoreError> {
        let (commit, checksum) = match self.log.commit(number)? {
            Some(Ok(read)) => read,
            Some(Err(damage)) => {
                self.note(damage.finding(number));
                self.pass_gap(number);
                return Ok(number.following());
            }
            None => {
                // It may have been deleted since the accounts were listed; then one speaks of it by now.
                let known = std::mem::replace(&mut self.accounts, self.log.accounts()?);
                let is_new = |range: &AccountRange| range.contains(number) && !known.contains(range);
                if self.accounts.iter().any(is_new) {
                    return Ok(number);
                }
                self.note(missing_commit(number));
                self.pass_gap(number);
                return Ok(number.following());
            }
        };
        if let Some(previous) = self.previous.filter(|previous| *previous != commit.previous) {
            let what = format!(
                "commit {number} follows a commit with the checksum {}, but commit {} has {previous}: one of the two \
                 was edited or replaced",
                commit.previous,
                number.0 - 1
            );
            let remedy = "put both files back from a backup; do not delete them";
            self.note(Finding::new(Code::CommitMisplaced, what, remedy).of_commit(number));
        }
        self.previous = Some(checksum);
        match commit.body {
            Body::Append(append) => self.take(&AccountedAppend::of(number, append), commit.time, each),
            Body::Generation(opened) => {
                self.ledger.open(&AccountedGeneration { number, opened });
            }
            Body::Replace(_) => {}
        }
        Ok(number.following())
    }

    fn take(&mut self, append: &AccountedAppend, time: Moment, each: &mut impl FnMut(Append<'_>)) {
        if append.number <= self.log.fold.number() && self.ledger.take(append) {
            each(Append { append, time });
        }
    }

    /// Goes on behind a commit that nobody can read. If it opened a generation, a snapshot may still know.
    fn pass_gap(&mut self, number: CommitNumber) {
        self.previous = None;
        self.ledger.passed_a_gap();
        let mut generations = self.log.fold.generations().iter();
        if let Some(opened) = generations.find(|generation| generation.opened == number) {
            let starts: Vec<PartitionStart> = opened
                .partitions
                .iter()
                .map(|(partition, state)| PartitionStart {
                    partition: *partition,
                    from: state.start,
                })
                .collect();
            self.ledger.start(opened.ordinal, &starts);
        }
    }

    /// The end of the chain is the fold's, and commit files at freed numbers are counted.
    fn check_freed(&mut self) -> Result<(), StoreError> {
        for entry in self.log.store.list(self.log.paths.folder())?.unwrap_or_default() {
            let number = eventlake_core::names::number_in(&entry.name);
            let is_freed =
                number.is_some_and(|number| self.accounts.iter().any(|range| range.contains(number)));
            self.freed += u64::from(is_freed);
        }
        if self.log.is_broken()
            || self
                .previous
                .is_none_or(|previous| previous == self.log.fold.checksum())
        {
            return Ok(());
        }
        let number = self.log.fold.number();
        let what =
            format!("the commits up to {number} end in another checksum than the newest snapshot states");
        let remedy = "put checkpoints/ back from a backup";
        self.note(Finding::new(Code::SnapshotDiffers, what, remedy).of_commit(number));
        Ok(())
    }
}
