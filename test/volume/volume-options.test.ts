import { strict as assert } from 'node:assert';
import { checkOptions, mountCall } from '../../runtime/volume/volume-options.ts';
import { FakeMounter } from './fake-mounter.ts';

const { resolve } = new FakeMounter();

const neverAsked = (): Promise<string> => Promise.reject(new Error('nobody is to be asked'));

describe('options of volumes', () => {
  for (const [options, reason] of [
    [{ nope: 'x' }, 'invalid option: "nope"'],
    [{ type: 'tmpfs' }, 'missing required option: "device"'],
    [{ device: 'tmpfs' }, 'missing required option: "type"'],
    [{ o: 'bind' }, 'missing required option: "device"'],
    [{ o: 'bind', device: '/x' }, 'missing required option: "type"'],
    [{ o: 'bind', type: 'none' }, 'missing required option: "device"'],
    [{ size: '10m' }, 'quota size requested but no quota support'],
    [{ size: 'big' }, "invalid size: 'big'"],
  ] as const) {
    it(`${JSON.stringify(options)} are refused`, () => {
      assert.throws(() => checkOptions('v', options), { code: 'invalid', message: `create v: ${reason}` });
    });
  }

  for (const options of [{}, { size: '0' }, { type: 'tmpfs', device: 'tmpfs' }, { type: '', device: '', o: '' }]) {
    it(`${JSON.stringify(options)} are taken`, () => checkOptions('v', options));
  }

  for (const [options, device, flags, data] of [
    [{ type: 'tmpfs', device: 'tmpfs', o: 'size=10m,uid=5,nosuid' }, 'tmpfs', 0x2, 'size=10m,uid=5'],
    [{ type: 'none', device: '/path', o: 'bind' }, '/path', 0x1000, ''],
    [{ type: 'none', device: '/path', o: 'rbind,ro,rslave' }, '/path', 0x85001, ''],
    [{ type: 'ext4', device: '/dev/sdb1', o: 'ro,noexec,rw,exec' }, '/dev/sdb1', 0, ''],
    [{ type: 'ext4', device: '/dev/sdb1' }, '/dev/sdb1', 0, ''],
    [{ type: 'tmpfs', device: 'tmpfs', o: 'defaults,toString' }, 'tmpfs', 0, 'toString'],
    [{ type: 'nfs', device: ':/share', o: 'addr=nas,rw,nfsvers=4' }, ':/share', 0, 'addr=10.0.0.9,nfsvers=4'],
    [{ type: 'nfs', device: ':/share', o: 'mountaddr=nas,addr=1.2.3.4' }, ':/share', 0, 'mountaddr=nas,addr=1.2.3.4'],
    [{ type: 'nfs4', device: ':/share', o: 'addr=nas' }, ':/share', 0, 'addr=nas'],
    [{ type: 'cifs', device: '//nas/share', o: 'username=u' }, '//10.0.0.9/share', 0, 'username=u'],
  ] as const) {
    it(`${JSON.stringify(options)} are a call of mount`, async () => {
      assert.deepEqual(await mountCall(options, resolve), { device, type: options.type, flags, data });
    });
  }

  it('that the kernel would cut off are refused', async () => {
    const call = (length: number) => mountCall({ type: 'x', device: 'd', o: `ro,${'x'.repeat(length)}` }, neverAsked);
    assert.equal((await call(4095)).data.length, 4095);
    await assert.rejects(call(4096), { code: 'invalid', message: /4096 bytes of options are more than the 4095/ });
  });

  it('whose server has no address are told so', async () => {
    await assert.rejects(mountCall({ type: 'nfs', device: ':/x', o: 'addr=nowhere' }, resolve), {
      message: 'error resolving passed in network volume address',
    });
  });
});
