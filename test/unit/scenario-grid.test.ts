import { expect, test } from 'vitest';
import { gridOf, nodeGridOf } from '../../scripts/lib/scenario-grid.js';

const result = (fullName: string, status: string, ...names: string[]) => ({
  fullName,
  status,
  meta: { scenarios: names.map((name) => ({ name, order: name.length })) },
});

test('the grid of PostgreSQL versions and scenarios shows ok, failed and not run', () => {
  const report = {
    testResults: [
      {
        assertionResults: [
          result('how-to on PostgreSQL 9 x', 'passed', 'archive', 'failover'),
          result('how-to on PostgreSQL 18 x', 'passed', 'archive'),
          result('more on PostgreSQL 18 y', 'failed', 'archive'),
          result('more on PostgreSQL 18 z', 'skipped', 'failover'),
          { fullName: 'something else', status: 'passed' },
        ],
      },
    ],
  };
  expect(gridOf([report])).toEqual([
    '',
    'PostgreSQL      9     18',
    'archive        ok FAILED',
    'failover       ok      -',
    '',
  ]);
  expect(gridOf([{ testResults: [] }])).toEqual([]);
});

test('the grid of Node.js versions shows a failure if one test fails on any PostgreSQL', () => {
  const report = (...results: object[]) => ({ testResults: [{ assertionResults: results }] });
  const grid = nodeGridOf([
    [22, report(result('x on PostgreSQL 18', 'passed', 'archive'))],
    [
      24,
      report(
        result('x on PostgreSQL 18', 'passed', 'archive'),
        result('x on PostgreSQL 15', 'failed', 'archive'),
      ),
    ],
  ]);
  expect(grid).toEqual(['', 'Node.js     22     24', 'archive     ok FAILED', '']);
});
