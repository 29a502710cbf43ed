import assert from 'node:assert/strict';
import { type AuditParts, auditKernel, auditRules, type Cause, findDifferences } from '../../runtime/network/audit.ts';

const broken = (): Promise<never> => Promise.reject(new Error('no such thing'));

/** A machine of which every part but the rules and one network is out of order. */
function parts(): AuditParts {
  const overlay = (name: string, audit: () => Promise<string[]>) => ({ shape: { name }, audit, differences: audit });
  const firewall = { differences: async () => ['a rule was gone'], rebuild: async () => undefined };
  return {
    netd: { dump: broken, run: async () => [] },
    networks: [],
    firewall,
    ways: { audit: broken, differences: broken },
    overlays: { each: () => [overlay('red', broken), overlay('blue', async () => ['a row was gone'])] },
  } as unknown as AuditParts;
}

describe('an audit of which parts fail', () => {
  it('does the others, and tells what failed', async () => {
    const counted: Cause[] = [];
    const { repairs, failures } = await auditKernel(parts(), (cause) => counted.push(cause));
    assert.deepEqual(repairs, ['a rule was gone', 'a row was gone']);
    assert.deepEqual(counted, ['rules', 'overlay']);
    assert.deepEqual(failures, [
      'bridges and links could not be looked at: no such thing',
      'the link to other nodes could not be looked at: no such thing',
      'network red could not be looked at: no such thing',
    ]);
  });

  it('of the rules alone does so, too', async () => {
    const { repairs, failures } = await auditRules(parts(), () => undefined);
    assert.deepEqual(repairs, ['a rule was gone']);
    assert.equal(failures.length, 1);
  });

  it('says when the kernel is about to have no room for connections', async () => {
    const full = (count: string) => {
      const results = [count, '1000\n'].map((text) => ({ errno: 0, bytes: Buffer.from(text) }));
      return { ...parts(), netd: { dump: broken, run: async () => results } } as unknown as AuditParts;
    };
    const told = async (count: string): Promise<string[]> =>
      (await findDifferences(full(count))).flatMap(({ cause, sentence }) =>
        cause === 'connections' ? [sentence] : [],
      );
    assert.deepEqual(await told('799\n'), []);
    assert.match((await told('800\n')).join(), /tracks 800 of at most 1000 connections/);
    assert.match((await auditKernel(full('999\n'), () => undefined)).failures.join(), /nf_conntrack_max/);
  });

  it('shows what it can', async () => {
    const found = await findDifferences(parts());
    assert.deepEqual(
      found.map(({ cause }) => cause),
      ['ways', 'link', 'rules', 'overlay', 'overlay'],
    );
  });
});
