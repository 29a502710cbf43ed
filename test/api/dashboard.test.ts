import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { Dashboard } from '../../api/dashboard/server.ts';
import { Sessions } from '../../api/dashboard/sessions.ts';
import { systemClock } from '../../base/clock.ts';
import { CodedError } from '../../base/errors.ts';
import { silentLog } from '../../base/log.ts';
import { ManualClock } from '../../base/manual-clock.ts';
import { systemRandom } from '../../base/random.ts';

describe('a dashboard session', () => {
  it('begins with a token that works once', () => {
    const sessions = new Sessions({ clock: new ManualClock(), random: systemRandom });
    const token = sessions.createLinkToken();
    const cookie = sessions.exchange(token);
    assert.ok(cookie);
    assert.equal(sessions.exchange(token), undefined);
    assert.equal(sessions.admits(`a=b; shoal-session=${cookie}`), true);
    for (const header of [undefined, '', 'shoal-session=', `shoal-session=${token}`])
      assert.equal(sessions.admits(header), false);
  });

  it('ends after half a day, a link after an hour', () => {
    const clock = new ManualClock();
    const sessions = new Sessions({ clock, random: systemRandom });
    const late = sessions.createLinkToken();
    const cookie = sessions.exchange(sessions.createLinkToken());
    clock.advance(61 * 60_000);
    assert.equal(sessions.exchange(late), undefined);
    assert.equal(sessions.admits(`shoal-session=${cookie}`), true);
    clock.advance(12 * 60 * 60_000);
    assert.equal(sessions.admits(`shoal-session=${cookie}`), false);
  });
});

describe('the dashboard', () => {
  const files = mkdtempSync(join(tmpdir(), 'pages-'));
  const dashboard = new Dashboard({
    files,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    control: () => {
      throw new CodedError('unavailable', 'no manager here');
    },
  });
  let origin = '';
  let cookie = '';

  before(async () => {
    writeFileSync(join(files, 'index.html'), '<p>hello');
    await dashboard.listen('127.0.0.1:0');
    origin = new URL(dashboard.createLink()).origin;
  });
  after(async () => {
    await dashboard[Symbol.asyncDispose]();
    rmSync(files, { recursive: true });
  });

  const ask = (path: string, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`${origin}${path}`, { headers, redirect: 'manual' });

  it('answers 401 without a session', async () => {
    for (const path of ['/', '/index.html', '/nosuch.js', '/?token=wrong'])
      assert.equal((await ask(path)).status, 401, path);
  });

  it('trades the link for a cookie that scripts and other sites do not get', async () => {
    const reply = await fetch(dashboard.createLink(), { redirect: 'manual' });
    assert.equal(reply.status, 303);
    const header = reply.headers.get('set-cookie') ?? '';
    assert.match(header, /HttpOnly; SameSite=Strict/);
    cookie = header.split(';')[0] ?? '';
    const page = await ask('/', { cookie });
    assert.equal(await page.text(), '<p>hello');
    assert.match(page.headers.get('content-security-policy') ?? '', /default-src 'self'/);
  });

  it('serves nothing from outside its folder', async () => {
    for (const path of ['/../package.json', '/..%2f..%2fetc/passwd.html', '//etc/passwd.html', '/%00.html']) {
      assert.equal((await ask(path, { cookie })).status, 404, path);
    }
  });

  const upgrade = (headers: Record<string, string>): Promise<string> =>
    new Promise((resolve) => {
      const socket = new WebSocket(`${origin.replace('http', 'ws')}/feed`, { headers });
      socket.on('unexpected-response', (_, response) => {
        response.resume();
        resolve(String(response.statusCode));
      });
      socket.on('error', () => undefined);
      socket.on('message', (data) => {
        socket.terminate();
        resolve(Buffer.isBuffer(data) ? data.toString('utf8') : '');
      });
    });

  it('opens the feed only to a page of its own with a session', async () => {
    assert.equal(await upgrade({ origin }), '401');
    assert.equal(await upgrade({ origin: 'http://elsewhere.example', cookie }), '401');
    assert.equal(await upgrade({ origin, cookie, host: 'elsewhere.example' }), '401');
    assert.match(await upgrade({ origin, cookie }), /no manager here/);
  });
});
