// The production code under simulation; a mutant brings its own copy of it.
import { Raft } from '../../manager/raft/core/raft.ts';
import { inspectDirectory } from '../../manager/raft/inspect.ts';
import { claimOf, judge } from '../../manager/raft/judgement.ts';
import { Member } from '../../manager/raft/member.ts';
import { Storage } from '../../manager/raft/storage.ts';
import { seizeDirectory } from '../../manager/raft/take-over.ts';

export interface Modules {
  readonly Raft: typeof Raft;
  readonly Member: typeof Member;
  readonly Storage: typeof Storage;
  readonly judge: typeof judge;
  readonly claimOf: typeof claimOf;
  readonly inspectDirectory: typeof inspectDirectory;
  readonly seizeDirectory: typeof seizeDirectory;
}

export const PRODUCTION: Modules = { Raft, Member, Storage, judge, claimOf, inspectDirectory, seizeDirectory };
