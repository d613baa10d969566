import { describe, expect, test } from 'vitest';
import { flushMeanwhile } from '../../../../../../src/standby/actions/base-backup/pgdata/flush.ts';

const megabyte = 1024 * 1024;

interface Watched {
  readonly note: (bytes: number, files?: number) => void;
  readonly end: () => Promise<void>;
  readonly errors: unknown[];
  /** Each ends, or fails, one flush. */
  readonly flushes: { readonly done: () => void; readonly fail: (error: Error) => void }[];
}

function watched(): Watched {
  const flushes: Watched['flushes'] = [];
  const errors: unknown[] = [];
  const flush = () =>
    new Promise<void>((done, fail) => {
      flushes.push({ done, fail });
    });
  const { note, end } = flushMeanwhile(flush, (error) => errors.push(error));
  return {
    note: (bytes, files = 1) => {
      note({ bytes, files });
    },
    end,
    errors,
    flushes,
  };
}

describe('flushing during the copy', () => {
  test('does not begin for a small amount', () => {
    const { note, flushes } = watched();
    for (const bytes of [1, 100, 200]) note(bytes * megabyte);
    expect(flushes).toHaveLength(0);
  });

  test('begins for many files, however small they are', () => {
    const { note, flushes } = watched();
    note(megabyte, 1000);
    expect(flushes).toHaveLength(0);
    note(2 * megabyte, 20_000);
    expect(flushes).toHaveLength(1);
  });

  test('is repeated after each further amount, one flush at a time', async () => {
    const { note, end, flushes } = watched();
    note(300 * megabyte);
    note(2000 * megabyte);
    expect(flushes).toHaveLength(1);
    flushes[0]?.done();
    await end();
    note(2100 * megabyte);
    expect(flushes).toHaveLength(2);
    flushes[1]?.done();
    await end();
    note(2200 * megabyte);
    expect(flushes).toHaveLength(2);
  });

  test('reports a disk that cannot store the data', async () => {
    const { note, end, flushes, errors } = watched();
    note(300 * megabyte);
    const error = new Error('sync: Input/output error');
    flushes[0]?.fail(error);
    await end();
    expect(errors).toEqual([error]);
  });
});
