import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { layoutOf } from '../../../../src/archiver/layout.ts';
import {
  canLeaveMarkers,
  isProven,
  leaveMarkers,
  prepareMarkers,
  removeMarker,
  stampConfig,
  wipeMarkers,
  withdrawMarkers,
} from '../../../../src/archiver/markers/markers.ts';
import { shipperPlaces } from '../../../../src/archiver/markers/places.ts';
import { identityOf, isStill, type WalFile, walFileAt } from '../../../../src/archiver/wal/wal-file.ts';
import { parseWalName } from '../../../../src/postgres/wal-name.ts';
import { type RunCommand, runCommand } from '../../../../src/system/command.ts';

const cluster = '7000000000000000001';
const names = ['000000010000000000000001', '000000010000000000000002', '00000002.history'];

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'markers-'));
  mkdirSync(join(root, 'l', '.archiver'), { recursive: true });
  mkdirSync(join(root, 'pg_wal'));
  writeFileSync(join(root, 'a.ini'), 'x');
});
afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

const placesIn = () => shipperPlaces(layoutOf(join(root, 'l')));
const iniFile = () => join(root, 'a.ini');

async function wal(name: string): Promise<WalFile> {
  const parsed = parseWalName(name);
  if (parsed.kind === 'not-wal') throw new Error(name);
  const path = join(root, 'pg_wal', name);
  writeFileSync(path, name);
  // A time that no floating point number of seconds holds.
  execFileSync('touch', ['-d', '2026-01-02 03:04:05.123456789', path]);
  return walFileAt(path, parsed);
}

async function adopt(): Promise<boolean> {
  await prepareMarkers(placesIn(), cluster, root);
  const config = { path: iniFile(), identity: await identityOf(iniFile()) };
  return (await stampConfig(runCommand, placesIn(), cluster, config)).isCurrent;
}

describe('markers', () => {
  it('that were withdrawn no longer exist, and none is made before their directory is made again', async () => {
    await adopt();
    const files = await Promise.all(names.map(wal));
    await leaveMarkers(runCommand, placesIn(), cluster, files.slice(0, 2));
    expect(await canLeaveMarkers(placesIn(), cluster)).toBe(true);
    await withdrawMarkers(placesIn());
    expect(await canLeaveMarkers(placesIn(), cluster)).toBe(false);
    expect((await leaveMarkers(runCommand, placesIn(), cluster, files)).names).toEqual([]);
    for (const file of files) expect(await isProven(placesIn(), cluster, iniFile(), file)).toBe(false);
    await prepareMarkers(placesIn(), cluster, root);
    for (const file of files) expect(await isProven(placesIn(), cluster, iniFile(), file)).toBe(false);
    // The stamp is still good.
    expect((await leaveMarkers(runCommand, placesIn(), cluster, files)).names).toEqual(names);
    for (const file of files) expect(await isProven(placesIn(), cluster, iniFile(), file)).toBe(true);
  });

  it('can be withdrawn repeatedly, even while they are made', async () => {
    await adopt();
    const files = await Promise.all(names.map(wal));
    for (let round = 0; round < 10; round++) {
      const leaving = leaveMarkers(runCommand, placesIn(), cluster, files);
      await withdrawMarkers(placesIn());
      await leaving;
      for (const file of files) expect(await isProven(placesIn(), cluster, iniFile(), file)).toBe(false);
      await prepareMarkers(placesIn(), cluster, root);
    }
  });

  it('prove a whole batch, exact to the nanosecond', async () => {
    expect(await adopt()).toBe(true);
    const files = await Promise.all(names.map(wal));
    expect(await leaveMarkers(runCommand, placesIn(), cluster, files)).toEqual({ names });
    for (const file of files) {
      expect(await isProven(placesIn(), cluster, iniFile(), file)).toBe(true);
      const marker = await identityOf(join(placesIn().current, file.name.text));
      expect(marker.mtimeNs).toBe(file.identity.mtimeNs);
      expect(marker.size).toBe(0n);
    }
  });

  it('are not made for a file that has changed since it was examined, or that no longer exists', async () => {
    await adopt();
    const [changed, gone, good] = await Promise.all(names.map(wal));
    if (changed === undefined || gone === undefined || good === undefined) throw new Error('files');
    utimesSync(changed.path, 5, 5);
    rmSync(gone.path);
    expect(await leaveMarkers(runCommand, placesIn(), cluster, [changed, gone, good])).toEqual({
      names: [good.name.text],
    });
    expect(existsSync(join(placesIn().current, changed.name.text))).toBe(false);
  });

  it('prove nothing after they, the stamp or all were removed, or the INI file or the segment has changed', async () => {
    await adopt();
    const file = await wal(names[0] ?? '');
    const prove = () => isProven(placesIn(), cluster, iniFile(), file);
    const mark = () => leaveMarkers(runCommand, placesIn(), cluster, [file]);
    await mark();
    expect(await prove()).toBe(true);
    expect(await isProven(placesIn(), '1', iniFile(), file)).toBe(false);
    await removeMarker(placesIn(), cluster, file.name.text);
    expect(await prove()).toBe(false);
    await mark();
    utimesSync(iniFile(), 7, 7);
    expect(await prove()).toBe(false);
    await adopt();
    expect(await prove()).toBe(true);
    utimesSync(file.path, 7, 7);
    expect(await prove()).toBe(false);
    await wipeMarkers(placesIn());
    expect(existsSync(placesIn().stamp)).toBe(false);
    expect(await prove()).toBe(false);
  });
});

describe('a file system that cannot store exact times', () => {
  /** As on a file system that keeps whole seconds. */
  const coarse: RunCommand = async (command, options) => {
    const result = await runCommand(command, options);
    if (command.program !== 'cp') return result;
    const directory = command.args[command.args.indexOf('--target-directory') + 1] ?? '';
    const made = readdirSync(directory).map((name) => join(directory, name));
    for (const path of made) utimesSync(path, 1_700_000_000, 1_700_000_000);
    return result;
  };

  it('gets a written proof, which is as strict', async () => {
    const places = placesIn();
    await prepareMarkers(places, cluster, root);
    const config = { path: iniFile(), identity: await identityOf(iniFile()) };
    const flaw = 'l_archivedir cannot keep the times of files exactly';
    expect(await stampConfig(coarse, places, cluster, config)).toEqual({ isCurrent: true, flaw });
    const [file, changed] = await Promise.all(names.slice(0, 2).map(wal));
    if (file === undefined || changed === undefined) throw new Error('files');
    utimesSync(changed.path, 5, 5);
    expect(await leaveMarkers(coarse, places, cluster, [file, changed])).toEqual({
      names: [file.name.text],
      flaw,
    });
    // Nothing that the launcher could take for a marker.
    expect(existsSync(places.stamp)).toBe(false);
    expect(existsSync(join(places.current, file.name.text))).toBe(false);
    const prove = () => isProven(places, cluster, iniFile(), file);
    expect(await prove()).toBe(true);
    expect(await isProven(places, '1', iniFile(), file)).toBe(false);
    utimesSync(file.path, 7, 7);
    expect(await prove()).toBe(false);
    expect(await isProven(places, cluster, iniFile(), await walFileAt(file.path, file.name))).toBe(false);
    execFileSync('touch', ['-d', '2026-01-02 03:04:05.123456789', file.path]);
    expect(await prove()).toBe(true);
    writeFileSync(iniFile(), 'xy');
    expect(await prove()).toBe(false);
    expect((await stampConfig(coarse, places, cluster, config)).isCurrent).toBe(false);
    await wipeMarkers(places);
    expect(existsSync(places.written)).toBe(false);
  });

  it('loses the written proof with the markers, and gets none before their directory is made again', async () => {
    const places = placesIn();
    await prepareMarkers(places, cluster, root);
    const config = { path: iniFile(), identity: await identityOf(iniFile()) };
    await stampConfig(coarse, places, cluster, config);
    const files = await Promise.all(names.map(wal));
    const proven = () => Promise.all(files.map((file) => isProven(places, cluster, iniFile(), file)));
    expect((await leaveMarkers(coarse, places, cluster, files)).names).toEqual(names);
    expect(await proven()).toEqual([true, true, true]);
    await withdrawMarkers(places);
    expect((await leaveMarkers(runCommand, places, cluster, files)).names).toEqual([]);
    expect(await proven()).toEqual([false, false, false]);
    await prepareMarkers(places, cluster, root);
    expect((await leaveMarkers(coarse, places, cluster, files)).names).toEqual(names);
    expect(await proven()).toEqual([true, true, true]);
  });

  it('loses the written proof with its marker, and the complaint of cp is reported', async () => {
    const places = placesIn();
    const refusing: RunCommand = () =>
      Promise.resolve({ kind: 'exited', code: 1, stdout: '', stderr: 'cp: unrecognized option' });
    await prepareMarkers(places, cluster, root);
    const config = { path: iniFile(), identity: await identityOf(iniFile()) };
    const { flaw } = await stampConfig(refusing, places, cluster, config);
    expect(flaw).toContain('cp: unrecognized option');
    const file = await wal(names[0] ?? '');
    await leaveMarkers(refusing, places, cluster, [file]);
    expect(await isProven(places, cluster, iniFile(), file)).toBe(true);
    await removeMarker(places, cluster, file.name.text);
    expect(await isProven(places, cluster, iniFile(), file)).toBe(false);
  });
});

describe('the stamp', () => {
  it('is not made by an INI file that has changed since it was read', async () => {
    await prepareMarkers(placesIn(), cluster, root);
    const config = { path: iniFile(), identity: await identityOf(iniFile()) };
    utimesSync(iniFile(), 9, 9);
    expect(await isStill(config)).toBe(false);
    expect(await stampConfig(runCommand, placesIn(), cluster, config)).toEqual({ isCurrent: false });
    expect(existsSync(placesIn().stamp)).toBe(false);
  });
});
