import assert from 'node:assert/strict';
import { seededRandom } from '../../base/random.ts';
import { encodeChange } from '../../manager/raft/core/membership.ts';
import { Raft } from '../../manager/raft/core/raft.ts';
import { type Append, DEFAULT_LIMITS, type Message } from '../../manager/raft/core/types.ts';
import { CoreGroup, coreOf, EMPTY, entriesOf, settle, voters } from './core-group.ts';

const text = (...texts: string[]): Uint8Array[] => texts.map((one) => Buffer.from(one));
const typesOf = (messages: readonly Message[]): string[] => messages.map(({ type, to }) => `${type}>${to}`);
const trio = voters('a', 'b', 'c');
const append = (fields: Partial<Append>): Append => ({
  type: 'append',
  from: 'b',
  to: 'a',
  term: 2,
  prevIndex: 1,
  prevTerm: 1,
  entries: [],
  commit: 0,
  ...fields,
});

describe('raft core', () => {
  describe('elections', () => {
    it('elects the only voter at its first tick', () => {
      const group = CoreGroup.of('a');
      group.tick('a');
      group.run();
      assert.equal(group.core('a').role, 'leader');
    });

    it('asks for pre-votes first, without a new term', () => {
      const raft = coreOf('a', trio);
      for (let tick = 0; tick < 15; tick += 1) raft.tick();
      assert.deepEqual(new Set(typesOf(settle(raft).messages)), new Set(['pre-vote-request>b', 'pre-vote-request>c']));
      assert.equal(raft.term, 1);
    });

    it('asks for votes only after its own is durable', () => {
      const raft = coreOf('a', trio);
      raft.step({ type: 'timeout-now', from: 'b', to: 'a', term: 1 });
      const ready = raft.ready();
      assert.deepEqual(ready?.messages, []);
      assert.deepEqual(ready?.write?.hardState, { term: 2, vote: 'a', commit: 1 });
      assert.deepEqual(typesOf(ready?.messagesAfterWrite ?? []), ['vote-request>b', 'vote-request>c']);
    });

    it('grants one vote a term, and only to a log that is as new as its own', () => {
      const request = { type: 'vote-request', to: 'a', term: 5, transfer: false } as const;
      const raft = coreOf('a', trio, { terms: [2, 3] });
      raft.step({ ...request, from: 'b', lastIndex: 9, lastTerm: 2 });
      raft.step({ ...request, from: 'c', lastIndex: 3, lastTerm: 3 });
      raft.step({ ...request, from: 'b', lastIndex: 3, lastTerm: 3 });
      const answers = settle(raft).messages.map((message) => [
        message.to,
        message.type === 'vote-response' && message.granted,
      ]);
      assert.deepEqual(answers, [
        ['b', false],
        ['c', true],
        ['b', false],
      ]);
    });

    it('does not vote against a leader that it hears', () => {
      const group = CoreGroup.of('a', 'b', 'c');
      group.elect('a');
      group.tick('b', 40);
      group.run();
      assert.equal(group.core('a').role, 'leader');
      assert.equal(group.core('c').term, group.core('a').term);
    });

    it('lets one of two that ask for pre-votes at once go first', () => {
      const group = CoreGroup.of('a', 'b', 'c');
      group.cut.add('c');
      group.tick('a', 15);
      group.tick('b', 15);
      group.run();
      assert.deepEqual(['a', 'b'].map((id) => group.core(id).role).sort(), ['follower', 'leader']);
    });

    it('learns from a deposed term that there is a newer one', () => {
      const raft = coreOf('a', trio, { hardState: { term: 7 } });
      raft.step(append({ term: 3 }));
      const [answer] = settle(raft).messages;
      assert.equal(answer?.term, 7);
    });

    it('steps down when no majority has answered for an election timeout', () => {
      const group = CoreGroup.of('a', 'b', 'c');
      group.elect('a');
      group.cut.add('a');
      group.tick('a', 16);
      group.run();
      assert.equal(group.core('a').role, 'follower');
    });

    it('lets nobody campaign who does not vote', () => {
      const learner = { members: [...trio.members, { id: 'd', address: 'd', learner: true }], removed: [] };
      const raft = coreOf('d', learner);
      for (let tick = 0; tick < 50; tick += 1) raft.tick();
      assert.equal(settle(raft).messages.length, 0);
      const outsider = coreOf('e', trio);
      for (let tick = 0; tick < 50; tick += 1) outsider.tick();
      assert.equal(settle(outsider).messages.length, 0);
    });

    it('votes although it takes itself for a learner: the candidate may know of its promotion', () => {
      const learner = { members: [...trio.members, { id: 'd', address: 'd', learner: true }], removed: [] };
      const raft = coreOf('d', learner);
      raft.step({ type: 'vote-request', from: 'a', to: 'd', term: 2, lastIndex: 1, lastTerm: 1, transfer: false });
      const [answer] = settle(raft).messages;
      assert.equal(answer?.type === 'vote-response' && answer.granted, true);
    });

    it('campaigns soon when the leader’s machine refuses connections', () => {
      const group = CoreGroup.of('a', 'b', 'c');
      group.elect('a');
      group.cut.add('a');
      for (const id of ['b', 'c']) group.core(id).suspectLeader('a');
      for (let tick = 0; tick < 4; tick += 1) {
        for (const id of ['b', 'c']) group.tick(id);
        group.run();
      }
      assert.ok(['b', 'c'].some((id) => group.core(id).role === 'leader'));
    });
  });

  describe('replication', () => {
    it('commits what a majority holds, and tells the others', () => {
      const group = CoreGroup.of('a', 'b', 'c');
      const leader = group.elect('a');
      group.cut.add('c');
      assert.equal(leader.propose(text('x', 'y')), undefined);
      group.run();
      assert.deepEqual([group.dataOf('a'), group.dataOf('b'), group.dataOf('c')], [['x', 'y'], ['x', 'y'], []]);
      group.cut.clear();
      group.tick('a', 2);
      group.run();
      assert.deepEqual(group.dataOf('c'), ['x', 'y']);
    });

    it('counts its own copy only when it is durable', () => {
      const raft = coreOf('a', voters('a'));
      raft.tick();
      const vote = raft.ready();
      assert.equal(raft.role, 'candidate');
      raft.advance(vote ?? assert.fail());
      raft.propose(text('x'));
      const ready = raft.ready();
      assert.deepEqual(ready?.committed, []);
      raft.advance(ready ?? assert.fail());
      assert.deepEqual(
        raft.ready()?.committed.map(({ index }) => index),
        [2, 3],
      );
    });

    it('commits entries of an earlier term only along with one of its own', () => {
      const leader = new CoreGroup([
        coreOf('a', trio, { terms: [2, 2] }),
        coreOf('b', trio, { terms: [2, 2] }),
        coreOf('c', trio),
      ]);
      leader.cut.add('c');
      const raft = leader.core('a');
      raft.step({ type: 'timeout-now', from: 'b', to: 'a', term: 2 });
      leader.run();
      assert.equal(raft.role, 'leader');
      assert.equal(raft.committed, raft.log.lastIndex);
      assert.equal(raft.log.termAt(raft.committed), raft.term);
    });

    it('replaces what conflicts and keeps what agrees', () => {
      const raft = coreOf('a', trio, { terms: [1, 1, 2, 2] });
      raft.step(append({ term: 3, prevIndex: 3, prevTerm: 1, entries: entriesOf([3], 4), commit: 3 }));
      settle(raft);
      assert.equal(raft.log.lastIndex, 4);
      assert.deepEqual(
        [2, 3, 4].map((index) => raft.log.termAt(index)),
        [1, 1, 3],
      );
    });

    it('keeps entries that a late, shorter append does not mention', () => {
      const raft = coreOf('a', trio, { terms: [1, 1, 1] });
      raft.step(append({ term: 1, prevIndex: 1, prevTerm: 1, entries: entriesOf([1], 2) }));
      assert.equal(raft.log.lastIndex, 4);
    });

    it('finds where two logs part in one step a term, not an entry', () => {
      const long = Array.from({ length: 200 }, () => 2);
      const group = new CoreGroup([
        coreOf('a', voters('a', 'b'), { terms: [1, ...long, 5] }),
        coreOf('b', voters('a', 'b'), { terms: [1, ...Array.from({ length: 300 }, () => 3)], hardState: { term: 4 } }),
      ]);
      group.core('a').step({ type: 'timeout-now', from: 'b', to: 'a', term: 5 });
      group.run();
      assert.equal(group.core('b').log.lastIndex, group.core('a').log.lastIndex);
      const appends = group.delivered.filter(({ type }) => type === 'append').length;
      assert.ok(appends <= 6, `${appends} appends`);
    });

    it('has no more under way than the window, and refuses more uncommitted bytes than the bound', () => {
      const limits = { inflightMessagesMax: 3, appendBytesMax: 50, uncommittedBytesMax: 2_000 };
      const group = new CoreGroup(['a', 'b', 'c'].map((id) => coreOf(id, trio, { limits })));
      const leader = group.elect('a');
      group.tick('a', 2);
      group.run();
      group.cut.add('b').add('c');
      for (let at = 0; at < 20; at += 1) leader.propose(text(`entry number ${at}`));
      const sent = settle(leader).messages.filter(({ type, to }) => type === 'append' && to === 'b');
      assert.equal(sent.length, 3);
      assert.equal(leader.propose([Buffer.alloc(3_000)]), 'too-much-uncommitted');
    });

    it('sends nothing that vouches for a write of a term that it has left', () => {
      const raft = coreOf('a', trio);
      raft.step(append({ term: 2, entries: entriesOf([2], 2) }));
      raft.step({ type: 'vote-request', from: 'c', to: 'a', term: 9, lastIndex: 9, lastTerm: 8, transfer: true });
      const types = settle(raft).messages.map(({ type, term }) => `${type} ${term}`);
      assert.deepEqual(types, ['vote-response 9']);
    });

    it('lets an acknowledgement wait for its own write, not for one before it that nothing was to be said of', () => {
      const follower = coreOf('b', voters('a', 'b', 'c'));
      const envelope = { from: 'a', to: 'b', term: 1 };
      const bytes = encodeChange({ op: 'add-learner', id: 'd', address: 'd' });
      const change = { index: 2, term: 1, kind: 'membership', bytes } as const;
      follower.step({ ...envelope, type: 'append', prevIndex: 1, prevTerm: 1, entries: [change], commit: 1 });
      settle(follower);
      follower.step({ ...envelope, type: 'heartbeat', commit: 2, round: 1 });
      const first = follower.ready();
      assert.deepEqual(first?.write?.hardState.commit, 2, 'the commit of a membership is written by itself');
      const entries = entriesOf([1], 3);
      follower.step({ ...envelope, type: 'append', prevIndex: 2, prevTerm: 1, entries, commit: 2 });
      assert.deepEqual(first.messagesAfterWrite, []);
      follower.advance(first);
      const second = follower.ready();
      assert.deepEqual(second?.write?.entries, entries);
      assert.deepEqual(
        second.messagesAfterWrite.map(({ type }) => type),
        ['append-response'],
      );
    });

    it('does not count a durable write of entries that were replaced meanwhile', () => {
      const raft = coreOf('a', trio);
      raft.step(append({ term: 2, entries: entriesOf([2, 2], 2) }));
      const first = raft.ready() ?? assert.fail();
      raft.step(append({ from: 'c', term: 3, entries: entriesOf([3], 2) }));
      raft.advance(first);
      assert.equal(raft.log.stable, 1);
      settle(raft);
      assert.equal(raft.log.stable, 2);
    });
  });

  describe('reads', () => {
    it('answers after a round that began later, at the commit index of its start', () => {
      const group = CoreGroup.of('a', 'b', 'c');
      const leader = group.elect('a');
      leader.propose(text('x'));
      group.run();
      assert.equal(leader.read(7), undefined);
      assert.deepEqual(group.reads, []);
      group.run();
      assert.deepEqual(group.reads, [{ id: 'a', token: 7, index: leader.committed }]);
    });

    it('takes no answer to an earlier round for its own', () => {
      const group = CoreGroup.of('a', 'b', 'c');
      const leader = group.elect('a');
      group.run();
      group.tick('a', 2);
      const early = settle(leader).messages.find(({ type }) => type === 'heartbeat');
      assert.ok(early?.type === 'heartbeat');
      leader.read(1);
      const asked = settle(leader).messages.find(({ type }) => type === 'heartbeat');
      assert.ok(asked?.type === 'heartbeat');
      const answer = { type: 'heartbeat-response', from: 'b', to: 'a', term: leader.term } as const;
      leader.step({ ...answer, round: early.round });
      assert.deepEqual(settle(leader).reads, []);
      leader.step({ ...answer, round: asked.round });
      assert.equal(settle(leader).reads.length, 1);
    });

    it('waits until something of its own term is committed', () => {
      const group = CoreGroup.of('a', 'b', 'c');
      group.cut.add('c');
      const raft = group.core('a');
      raft.step({ type: 'timeout-now', from: 'b', to: 'a', term: 1 });
      settle(raft);
      raft.step({ type: 'vote-response', from: 'b', to: 'a', term: 2, granted: true });
      assert.equal(raft.role, 'leader');
      assert.equal(raft.read(1), undefined);
      assert.deepEqual(settle(raft).reads, []);
      group.tick('a', 2);
      group.run();
      assert.equal(group.reads.length, 1);
    });
  });

  describe('membership', () => {
    it('lets a learner catch up before it votes, and takes one change at a time', () => {
      const group = CoreGroup.of('a');
      group.tick('a');
      group.run();
      const leader = group.core('a');
      for (let at = 0; at < 200; at += 1) leader.propose(text('x'));
      group.run();
      assert.equal(leader.proposeChange({ op: 'add-learner', id: 'b', address: 'b' }), undefined);
      assert.equal(leader.proposeChange({ op: 'add-learner', id: 'c', address: 'c' }), 'change-in-progress');
      group.run();
      assert.equal(leader.proposeChange({ op: 'promote', id: 'b' }), 'not-caught-up');
      assert.equal(leader.proposeChange({ op: 'promote', id: 'x' }), 'not-a-member');
    });

    it('refuses a change until it has committed something of its own term', () => {
      const group = CoreGroup.of('a', 'b', 'c');
      const raft = group.core('a');
      raft.step({ type: 'timeout-now', from: 'b', to: 'a', term: 1 });
      settle(raft);
      raft.step({ type: 'vote-response', from: 'b', to: 'a', term: 2, granted: true });
      assert.equal(raft.proposeChange({ op: 'remove', id: 'b' }), 'change-in-progress');
    });

    it('needs the old majority to change and the new one afterwards', () => {
      const group = CoreGroup.of('a', 'b', 'c');
      const leader = group.elect('a');
      group.run();
      assert.equal(leader.proposeChange({ op: 'remove', id: 'c' }), undefined);
      group.run();
      assert.deepEqual(
        leader.membership.members.map(({ id }) => id),
        ['a', 'b'],
      );
      assert.deepEqual(leader.membership.removed, ['c']);
      group.cut.add('b');
      leader.propose(text('x'));
      group.run();
      assert.deepEqual(group.dataOf('a'), []);
    });

    it('takes a removed member back, as a learner, with the log that it had', () => {
      const group = CoreGroup.of('a', 'b', 'c');
      const leader = group.elect('a');
      group.run();
      leader.proposeChange({ op: 'remove', id: 'c' });
      group.run();
      leader.propose(text('without c'));
      group.run();
      assert.equal(leader.proposeChange({ op: 'add-learner', id: 'c', address: 'c' }), undefined);
      group.run();
      assert.deepEqual(group.dataOf('c'), ['without c']);
      assert.equal(leader.proposeChange({ op: 'promote', id: 'c' }), undefined);
      group.run();
      assert.equal(group.core('c').isVoter, true);
      assert.deepEqual(leader.membership.removed, []);
    });

    it('has no vote in a member that holds nothing yet', () => {
      const raft = new Raft({
        id: 'd',
        limits: DEFAULT_LIMITS,
        random: seededRandom(1),
        initial: { hardState: EMPTY, snapshot: undefined, base: { index: 0, term: 0 }, entries: [] },
      });
      raft.step({ type: 'vote-request', from: 'a', to: 'd', term: 2, lastIndex: 9, lastTerm: 1, transfer: false });
      const [answer] = settle(raft).messages;
      assert.equal(answer?.type === 'vote-response' && answer.granted, false);
    });

    it('does not remove its leader or its last voter', () => {
      const group = CoreGroup.of('a', 'b');
      const leader = group.elect('a');
      group.run();
      assert.equal(leader.proposeChange({ op: 'remove', id: 'a' }), 'is-leader');
      leader.proposeChange({ op: 'remove', id: 'b' });
      group.run();
      assert.equal(leader.proposeChange({ op: 'remove', id: 'a' }), 'last-voter');
    });

    it('applies a membership only once its commit is durable', () => {
      const group = CoreGroup.of('a', 'b', 'c');
      const leader = group.elect('a');
      group.run();
      leader.proposeChange({ op: 'remove', id: 'c' });
      const written: number[] = [];
      for (let ready = leader.ready(); ready; ready = leader.ready()) {
        leader.advance(ready);
        for (const message of ready.messages) group.core(message.to).step(message);
        for (const answer of settle(group.core('b')).messages) leader.step(answer);
        if (ready.write) written.push(ready.write.hardState.commit);
        if (leader.membership.members.length === 2) break;
      }
      assert.ok((written.at(-1) ?? 0) >= leader.log.lastIndex);
    });

    it('hands over when asked, at once, and takes no proposals meanwhile', () => {
      const group = CoreGroup.of('a', 'b', 'c');
      const leader = group.elect('a');
      group.run();
      assert.equal(leader.transferLeadership('b'), undefined);
      assert.equal(leader.propose(text('x')), 'transferring');
      group.run();
      assert.equal(group.core('b').role, 'leader');
    });

    it('gives a hand-over up when the successor does not come', () => {
      const group = CoreGroup.of('a', 'b', 'c');
      const leader = group.elect('a');
      group.run();
      group.cut.add('b');
      leader.transferLeadership('b');
      for (let tick = 0; tick < 16; tick += 1) {
        group.tick('a');
        group.run();
      }
      assert.equal(leader.role, 'leader');
      assert.equal(leader.propose(text('x')), undefined);
    });
  });

  describe('snapshots', () => {
    it('sends one to a member that is behind the log, and goes on from there', () => {
      const group = CoreGroup.of('a', 'b', 'c');
      const leader = group.elect('a');
      group.cut.add('c');
      for (let at = 0; at < 20; at += 1) leader.propose(text(`${at}`));
      group.run();
      const snapshot = { index: leader.applied, term: leader.term, membership: leader.membership };
      leader.compact(snapshot, snapshot.index);
      group.cut.clear();
      for (let tick = 0; tick < 6; tick += 1) {
        group.tick('a', 2);
        group.run();
      }
      const behind = group.core('c');
      assert.equal(behind.log.base.index, snapshot.index);
      leader.snapshotReported('c', true);
      leader.propose(text('after'));
      group.tick('a', 2);
      group.run();
      assert.deepEqual(group.dataOf('c'), ['after']);
    });

    it('ignores one that it is ahead of', () => {
      const raft = coreOf('a', trio, { terms: [1, 1, 1], hardState: { commit: 4 } });
      const old = { index: 3, term: 1, membership: voters('a') };
      raft.step({ type: 'snapshot', from: 'b', to: 'a', term: 2, snapshot: old });
      assert.equal(raft.isRestoring(old), false);
      assert.equal(raft.log.lastIndex, 4);
      const [answer] = settle(raft).messages;
      assert.equal(answer?.type === 'append-response' && answer.index, 4);
    });
  });
});
