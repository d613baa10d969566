import { describe, expect, test } from 'vitest';
import { streamInLog } from '../../../../src/standby/server/streaming.ts';

const refused = (text: string) => `2026-11-25 10:00:00 UTC [7] FATAL:  ${text}`;

describe("the server's log about streaming", () => {
  test.each([
    'could not connect to the primary server: FATAL:  password authentication failed for user "r"',
    'streaming replication receiver "s" could not connect to the primary server: connection to server failed',
    'could not receive data from WAL stream: ERROR:  requested WAL segment 000000010000000000000003 has already been removed',
    'database system identifier differs between the primary and standby',
    'could not start WAL streaming: ERROR:  replication slot "s" does not exist',
  ])('shows a refusal: %s', (text) => {
    expect(streamInLog(`LOG:  entering standby mode\n${refused(text)}\n`)).toEqual({
      hasBegun: false,
      refusals: [refused(text)],
    });
  });

  test('shows no refusal of streaming if a client is refused while the server starts', () => {
    expect(streamInLog(refused('the database system is starting up')).refusals).toEqual([]);
  });

  test.each([
    'LOG:  started streaming WAL from primary at 0/3000000 on timeline 1',
    'LOG:  streaming replication successfully connected to primary',
  ])('shows success if streaming began after refusals: %s', (text) => {
    const log = `${refused('could not connect to the primary server: refused')}\n${text}\n`;
    expect(streamInLog(log)).toEqual({ hasBegun: true, refusals: [] });
  });

  test('shows a refusal after streaming had begun', () => {
    const end = refused('could not receive data from WAL stream: server closed the connection');
    const log = `LOG:  started streaming WAL from primary at 0/3000000 on timeline 1\n${end}`;
    expect(streamInLog(log)).toEqual({ hasBegun: false, refusals: [end] });
  });
});
