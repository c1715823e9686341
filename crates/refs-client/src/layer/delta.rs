//! Hands over what this machine has of an eStargz layer before the rest of it is planned and fetched.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Weak},
};

use refs_estargz::{ChunkId, Entry, PlanOptions};
use refs_registry::Source;
use tokio::runtime::Handle;

use super::{
    contents::Contents,
    deliver::Delivery,
    fetch::requests,
    form::{Form, Layer, Vouched},
    queue::Progress,
    ranges::Ranges,
    same::Search,
    spans::{Choice, Wanted, hands, take_files},
};
use crate::{Meter, Result, Reused, older::Older, receive::Receive, select::Selection, thread};

/// What a request is worth when few files have changed. They lie apart, so that gaps would soon be most of what is fetched:
/// with this, 90 of 9,000 files of a kilobyte were 1.8 % of the layer, about half of it gaps.
const LOWEST_REQUEST_COST: u64 = 16 << 10;
/// More requests than these are made only where they are worth as much as elsewhere.
const CHEAP_REQUESTS: usize = 128;

/// Of a layer whose files this machine may have, the table of contents is asked for from this size on: a smaller one is not
/// worth the one request more.
const WORTH_A_TABLE_BYTES: u64 = 256 << 10;

impl Contents {
    /// The same, which does not fetch what `older` has.
    pub(crate) fn beside(mut self, older: Option<Arc<Older>>) -> Self {
        self.older = older;
        self
    }

    /// What was not fetched so far, as there was an older version of it.
    pub(crate) fn reused(&self) -> Reused {
        self.older.as_ref().map(|older| older.reused()).unwrap_or_default()
    }

    /// Hands over what was chosen of a layer that has a table of contents.
    pub(super) async fn deliver_chosen<R: Receive>(
        &self,
        layer: &Layer,
        choice: Choice,
        delivery: Delivery<R>,
    ) -> Result<Delivery<R>> {
        if let Some(older) = self.older.as_ref().filter(|_| layer.is_vouched()) {
            let (source, older) = (self.source.as_ref(), Arc::clone(older));
            return choice.deliver_beside(older, source, self.ranges(layer), &self.meter, delivery).await;
        }
        self.meter.add_skipped(choice.skipped_bytes());
        choice.deliver(self.source.as_ref(), self.ranges(layer), delivery).await
    }

    /// Whether a table of contents is worth asking for.
    pub(super) fn is_better_by_index(&self, layer: &Layer, selection: &Selection) -> bool {
        let is_old = self.older.is_some() && layer.is_vouched() && layer.descriptor.size > WORTH_A_TABLE_BYTES;
        is_old || layer.is_better_by_index(selection)
    }
}

impl Layer {
    /// Whether the manifest vouches for a table of contents.
    pub(super) fn is_vouched(&self) -> bool {
        matches!(&self.form, Form::Indexed { vouched, .. } if *vouched != Vouched::Nothing)
    }
}

impl Choice {
    /// As [`deliver`](Choice::deliver), but for the chunks that `older` has: those are read here, checked, and not fetched.
    /// `meter` is told what of the layer need not pass.
    async fn deliver_beside<R: Receive>(
        self,
        older: Arc<Older>,
        source: &dyn Source,
        ranges: Ranges,
        meter: &Meter,
        delivery: Delivery<R>,
    ) -> Result<Delivery<R>> {
        let waiting = Arc::new(());
        let waited_for = Arc::downgrade(&waiting);
        let runtime = Handle::current();
        let work = move || self.take_local(&older, delivery, &waited_for, &runtime);
        let (choice, delivery) = thread::run(work).await?;
        drop(waiting);
        let choice = choice.planned_again();
        meter.add_skipped(choice.skipped_bytes());
        choice.deliver(source, ranges, delivery).await
    }

    /// Hands over all entries, and the content that this machine has.
    fn take_local<R: Receive>(
        mut self,
        older: &Older,
        mut delivery: Delivery<R>,
        waited_for: &Weak<()>,
        runtime: &Handle,
    ) -> Result<(Self, Delivery<R>)> {
        let known = self.take_entries_at_once(&mut delivery)?;
        let (files, mut hands) = (self.files(&known), hands(&delivery));
        let (archive, tree) = (&self.archive, older.tree.as_ref());
        let search = Search { archive, tree, known: &known, older, waited_for };
        self.has = search.run(&files, &mut hands)?;
        if let (Some(kept), Some(hand)) = (&older.kept, hands.first_mut()) {
            let given = search.run_kept(kept, &files, &self.has, hand, runtime)?;
            self.has.extend(given);
        }
        self.taken = Some(known);
        Ok((self, delivery))
    }

    /// Hands over entries before any content, and gives the files that are known by other entries than their own.
    fn take_entries_at_once<R: Receive>(&self, delivery: &mut Delivery<R>) -> Result<BTreeMap<usize, Entry>> {
        let nobody_waits = Progress::default();
        match &self.wanted {
            Wanted::Entries(entries) => {
                self.count(delivery)?;
                let names = self.names(entries);
                let renamed = self.renamed(&names);
                self.take_entries(entries, delivery, &nobody_waits, names, &renamed)?;
                Ok(renamed)
            }
            Wanted::Files(files) => take_files(files, delivery, &nobody_waits).map(|()| files.clone()),
        }
    }

    /// The files whose content is wanted.
    fn files(&self, known: &BTreeMap<usize, Entry>) -> Vec<usize> {
        let own = match &self.wanted {
            Wanted::Entries(entries) => entries.as_slice(),
            Wanted::Files(_) => &[],
        };
        let toc = self.archive.toc();
        let own = own.iter().copied().filter(|&index| toc.file_of(index) == Some(index));
        own.chain(known.keys().copied()).collect()
    }

    /// The same, which fetches what is not there: in ranges as narrow as few requests allow.
    fn planned_again(self) -> Self {
        if self.has.is_empty() {
            return self;
        }
        let highest = PlanOptions::default().request_cost;
        let mut cost = LOWEST_REQUEST_COST;
        loop {
            let options = PlanOptions { request_cost: cost, ..PlanOptions::default() };
            let plan = self.archive.plan_without(self.wanted.indexes(), |id| self.has.contains(&id), &options);
            if cost >= highest || requests(&plan.spans).len() <= CHEAP_REQUESTS {
                return Self { plan, request_cost: cost, ..self };
            }
            cost *= 2;
        }
    }
}

/// Chunks by what they are known by.
pub(super) type Found = HashSet<ChunkId>;
