import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Batch, Delivery } from '../../../../src/archiver/delivery/delivery.ts';
import { type BatchSource, sendBatches } from '../../../../src/archiver/delivery/pipeline.ts';
import type { ArchiverDeps } from '../../../../src/archiver/deps.ts';
import { identityOf } from '../../../../src/archiver/wal/wal-file.ts';
import { parseWalName } from '../../../../src/postgres/wal-name.ts';
import type { CommandResult } from '../../../../src/system/command.ts';
import { type RemoteResult, type RemoteWork, scriptOf } from '../../../../src/system/ssh.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

const exited = (code: number): CommandResult => ({ kind: 'exited', code, stdout: '', stderr: 'x' });

/** rsync and the standby's shell, each ended by the test; `events` is the order in which things happened. */
async function stage(width: number, count: number) {
  const directory = temporaryDirectory();
  const events: string[] = [];
  const transfers = new Map<string, (result: CommandResult) => void>();
  const commits = new Map<string, (result: RemoteResult) => void>();
  const batches: Batch[] = [];
  for (let number = 1; number <= count; number++) {
    const name = parseWalName(`00000001000000000000000${String(number)}`);
    if (name.kind === 'not-wal') throw new Error('a name');
    const path = join(directory, name.text);
    writeFileSync(path, 'wal');
    batches.push({ directory, files: [{ name, path, identity: await identityOf(path) }] });
  }
  const shortOf = (text: string): string =>
    /0000000(\d)/.exec(text.split('0000000000000000')[1] ?? '')?.[1] ?? '?';
  const nameIn = (text: string): string => /0{7}1\w{16}/.exec(text)?.[0].slice(-1) ?? shortOf(text);
  const deps = {
    monotonicMs: () => 0,
    run: (_: unknown, { input }: { input: string }) => {
      const number = nameIn(input);
      events.push(`sends ${number}`);
      return new Promise<CommandResult>((resolve) => transfers.set(number, resolve));
    },
  } as unknown as ArchiverDeps;
  const delivery = {
    standby: { name: 's', ssh_timeout: 1 },
    rsync: { rsync: { program: 'rsync', args: [] }, flags: [], version: 3 },
    noteDelivery: () => Promise.resolve(),
    place: { archivedir: '/a', systemIdentifier: '1', lane: 'l', run: 'r', mode: 'store' },
    shell: {
      target: { host: 'h', user: 'u' },
      rsyncShell: 'ssh',
      stderr: () => '',
      run: (work: RemoteWork) => {
        const number = nameIn(scriptOf(work));
        events.push(`commits ${number}`);
        return new Promise<RemoteResult>((resolve) => commits.set(number, resolve));
      },
    },
  } as unknown as Delivery;
  const waiting = [...batches];
  const source: BatchSource = {
    next: () => Promise.resolve(waiting.shift()),
    transferred: (batch, tookMs) => {
      events.push(`${tookMs === undefined ? 'failed' : 'sent'} ${nameIn(batch.files[0]?.path ?? '')}`);
    },
    committed: (batch) => {
      events.push(`safe ${nameIn(batch.files[0]?.path ?? '')}`);
      return Promise.resolve();
    },
    limitMs: () => 1000,
    width: () => width,
  };
  const stored = (number: string): RemoteResult => ({
    kind: 'done',
    status: 0,
    lines: [`stored 00000001000000000000000${number}`],
  });
  return {
    events,
    ended: sendBatches(deps, delivery, source),
    arrive: async (number: string, code = 0) => {
      await until(() => transfers.has(number));
      transfers.get(number)?.(exited(code));
      await until(() => events.some((event) => event === `sent ${number}` || event === `failed ${number}`));
    },
    commit: async (number: string) => {
      await until(() => commits.has(number));
      commits.get(number)?.(stored(number));
      await until(() => events.includes(`safe ${number}`));
    },
  };
}

async function until(isSo: () => boolean): Promise<void> {
  const endMs = Date.now() + 4_000;
  while (!isSo() && Date.now() < endMs) await new Promise(setImmediate);
  if (!isSo()) throw new Error('it does not come to that');
}

describe('batches that are being sent', () => {
  test('travel two at a time, and are committed in their order although the second arrives first', async () => {
    const { events, ended, arrive, commit } = await stage(2, 3);
    await arrive('2');
    expect(events.filter((event) => event.startsWith('commits'))).toEqual([]);
    await until(() => events.includes('sends 3'));
    await arrive('1');
    await commit('1');
    await commit('2');
    await arrive('3');
    await commit('3');
    expect(await ended).toBeUndefined();
    const order = events.filter((event) => !/sends|sent/.test(event));
    expect(order).toEqual(['commits 1', 'safe 1', 'commits 2', 'safe 2', 'commits 3', 'safe 3']);
  });

  test('travel one at a time on a slow link, and the next one travels while the last is committed', async () => {
    const { events, ended, arrive, commit } = await stage(1, 2);
    await until(() => events.includes('sends 1'));
    expect(events).toEqual(['sends 1']);
    await arrive('1');
    await until(() => events.includes('sends 2'));
    await commit('1');
    await arrive('2');
    await commit('2');
    expect(await ended).toBeUndefined();
  });

  test('are not committed after a failure of an older one, and the end waits for those that still travel', async () => {
    const { events, ended, arrive } = await stage(2, 3);
    let isOver = false;
    void ended.then(() => (isOver = true));
    await arrive('1', 12);
    expect(isOver).toBe(false);
    await arrive('2');
    expect(await ended).toMatchObject({ kind: 'failed' });
    expect(events.filter((event) => /commits|safe/.test(event))).toEqual([]);
  });
});
