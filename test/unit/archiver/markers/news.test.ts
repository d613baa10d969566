import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { ArchiverDeps } from '../../../../src/archiver/deps.ts';
import { layoutOf } from '../../../../src/archiver/layout.ts';
import { leaveNews, sayNews } from '../../../../src/archiver/markers/news.ts';
import { shipperPlaces } from '../../../../src/archiver/markers/places.ts';
import { textLog } from '../../../../src/system/log.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

function place() {
  const layout = layoutOf(temporaryDirectory());
  mkdirSync(layout.privateDirectory);
  const lines: string[] = [];
  const log = textLog({ debug: false }, (text) => lines.push(text));
  return { layout, lines, deps: { layout, log, pid: 7 } as ArchiverDeps, news: shipperPlaces(layout).news };
}

test('the lines for the log are reported once, in their order and at their level', async () => {
  const { deps, lines, layout } = place();
  await leaveNews(deps, 'warning', 'standby s1 is behind', 'noon');
  await leaveNews(deps, 'notice', 'standby s1 has all WAL again', 'one');
  await sayNews(deps);
  await sayNews(deps);
  expect(lines).toEqual([
    'WARNING: standby s1 is behind (since noon)\n',
    'NOTICE: standby s1 has all WAL again (since one)\n',
  ]);
  expect(readdirSync(layout.privateDirectory)).toEqual([]);
});

test('a line break from another host cannot make two lines of one', async () => {
  const { deps, lines } = place();
  await leaveNews(deps, 'warning', 'it says: x\nnotice all is well', 'noon');
  await sayNews(deps);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/^WARNING: it says: x\S*n?notice all is well \(since noon\)\n$/);
});

test('no more lines are kept than an operator would read', async () => {
  const { deps, lines } = place();
  for (let more = 0; more < 300; more++) await leaveNews(deps, 'warning', 'x'.repeat(100), 'noon');
  await sayNews(deps);
  expect(lines.length).toBeGreaterThan(10);
  expect(lines.length).toBeLessThan(100);
});

test('a full disk does not stop the program that adds a line', async () => {
  const { deps, lines, news } = place();
  mkdirSync(news);
  await leaveNews(deps, 'warning', 'x', 'noon');
  expect(lines).toEqual([]);
  expect(existsSync(news)).toBe(true);
});
