//! Deleting commits: never before an account of what they said of offsets is durable.

use std::collections::VecDeque;
use std::time::Duration;

use eventlake_core::commit::{
    Account, Checksum, Commit, CommitNumber, Moment, decode_record, encode_record, expired,
};
use eventlake_core::names::{AccountRange, number_in};

use super::error::LakeError;
use super::log::TopicLog;
use super::site::Site;
use super::store::Created;

/// Commits that are read, accounted for and deleted at a time: bounds the memory that it takes.
const COMMITS_AT_A_TIME: usize = 1_000;

/// Commits of which a durable account speaks: nothing else is ever deleted.
struct Accounted {
    numbers: Vec<CommitNumber>,
}

impl TopicLog {
    /// Deletes the commits up to `through` that are older than the log retention. How many there were.
    pub(super) fn delete_commits(
        &self,
        through: CommitNumber,
        log_retention: Duration,
        now: Moment,
    ) -> Result<u64, LakeError> {
        let entries = self.store.list(self.paths.folder())?.unwrap_or_default();
        let mut numbers: Vec<_> = entries
            .iter()
            .filter_map(|entry| number_in(&entry.name))
            .filter(|number| *number <= through)
            .collect();
        numbers.sort_unstable();
        let mut numbers = VecDeque::from(numbers);
        let mut deleted = 0;
        loop {
            let commits = self.expired_commits(&mut numbers, log_retention, now)?;
            if commits.is_empty() {
                return Ok(deleted);
            }
            deleted += self.delete(self.account_for(commits)?)?;
        }
    }

    /// The next commits that are old enough. One that cannot be read below a snapshot harms nobody, and what it once said
    /// is for its owner to find out: it stays.
    fn expired_commits(
        &self,
        numbers: &mut VecDeque<CommitNumber>,
        log_retention: Duration,
        now: Moment,
    ) -> Result<Vec<(Commit, Checksum)>, LakeError> {
        let mut commits = Vec::new();
        while commits.len() < COMMITS_AT_A_TIME {
            let Some(number) = numbers.pop_front() else { break };
            let Some(bytes) = self.store.read(&self.paths.commit(number))? else {
                continue;
            };
            let Ok((commit, checksum)) = decode_record::<Commit>(&bytes) else {
                continue;
            };
            if commit.number != number || commit.topic != self.topic {
                continue;
            }
            if !expired(commit.time, now, log_retention) {
                numbers.clear();
                break;
            }
            commits.push((commit, checksum));
        }
        Ok(commits)
    }

    /// Makes sure that a durable account speaks of each of these commits, and says of which one does.
    ///
    /// The accounts are listed after the commits were read. A number that was freed may have been created again, by a
    /// writer that was slow: then the account that freed it is there to be seen, and what stands at the number now is
    /// no part of the log and must not be accounted for.
    fn account_for(&self, commits: Vec<(Commit, Checksum)>) -> Result<Accounted, LakeError> {
        let (Some(first), Some(last)) = (commits.first(), commits.last()) else {
            return Ok(Accounted { numbers: Vec::new() });
        };
        let span = AccountRange {
            first: first.0.number,
            last: last.0.number,
        };
        self.store
            .create_folders(Site::AccountsFolder, &self.paths.accounts())?;
        let known = self.sound_accounts(span)?;
        let (spoken_of, new): (Vec<_>, Vec<_>) = commits
            .into_iter()
            .partition(|(commit, _)| known.iter().any(|range| range.contains(commit.number)));
        let mut numbers: Vec<_> = spoken_of.iter().map(|(commit, _)| commit.number).collect();
        for account in accounts_of(new) {
            if self.write_account(&account)? {
                numbers.extend((account.first.0..=account.last.0).map(CommitNumber));
            }
        }
        // Accounts that others wrote may not be durable yet.
        self.store
            .sync_folder(Site::AccountNames, &self.paths.accounts())?;
        Ok(Accounted { numbers })
    }

    /// The accounts that overlap the span and can be read.
    fn sound_accounts(&self, span: AccountRange) -> Result<Vec<AccountRange>, LakeError> {
        let mut sound = Vec::new();
        for entry in self.store.list(&self.paths.accounts())?.unwrap_or_default() {
            let Some(range) = AccountRange::in_name(&entry.name) else {
                continue;
            };
            if range.first <= span.last && span.first <= range.last && self.read_account(range)?.is_some() {
                sound.push(range);
            }
        }
        Ok(sound)
    }

    fn read_account(&self, range: AccountRange) -> Result<Option<Account>, LakeError> {
        let Some(bytes) = self.store.read(&self.paths.account(range))? else {
            return Ok(None);
        };
        let read = decode_record::<Account>(&bytes).ok().map(|(account, _)| account);
        Ok(read.filter(|account| {
            let is_named_so = (account.first, account.last) == (range.first, range.last);
            is_named_so && account.topic == self.topic && account.fault().is_none()
        }))
    }

    /// Whether exactly this account is there now. One of that name that says something else, or nothing, was damaged.
    fn write_account(&self, account: &Account) -> Result<bool, LakeError> {
        let range = AccountRange {
            first: account.first,
            last: account.last,
        };
        let path = self.paths.account(range);
        let (bytes, _) = encode_record(account);
        if self
            .store
            .create_exclusive(Site::Account, &path, &bytes, &self.paths.staging())?
            == Created::Created
        {
            return Ok(true);
        }
        let is_same = self.read_account(range)?.as_ref() == Some(account);
        if !is_same {
            tracing::warn!(
                topic = %self.topic,
                "{} is damaged: the commits that it should speak of are not deleted",
                path.display()
            );
        }
        Ok(is_same)
    }

    fn delete(&self, accounted: Accounted) -> Result<u64, LakeError> {
        let mut deleted = 0;
        for number in accounted.numbers {
            deleted += u64::from(self.store.remove(Site::OldCommit, &self.paths.commit(number))?);
        }
        Ok(deleted)
    }
}

/// An account for each run of commits that follow each other.
fn accounts_of(commits: Vec<(Commit, Checksum)>) -> Vec<Account> {
    let mut accounts: Vec<Account> = Vec::new();
    for (commit, checksum) in commits {
        let left = match accounts.last_mut() {
            Some(account) => account.continue_with(commit, checksum).err(),
            None => Some(Box::new(commit)),
        };
        if let Some(commit) = left {
            accounts.push(Account::opened_by(*commit, checksum));
        }
    }
    accounts
}
