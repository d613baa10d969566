import { expect, test } from 'vitest';
import { bounderOf } from '../../../../../src/standby/archive/keep/bounder.ts';

const ours = {
  archiveMode: 'on',
  archiveCommand: '/opt/bin/cmd_archiver -C /i.ini -F %p',
  archiveLibrary: '',
};

test('a server that calls cmd_archiver for each segment has its slot limited by the shipper', () => {
  expect(bounderOf(ours, '-1').kind).toBe('archiver');
  expect(bounderOf({ ...ours, archiveMode: 'always' }, undefined).kind).toBe('archiver');
});

test('otherwise only the server itself can limit it', () => {
  const nothing = { ...ours, archiveMode: 'off' };
  const other = { ...ours, archiveCommand: 'cp %p /mnt/%f' };
  expect(bounderOf(nothing, '1024').kind).toBe('server');
  expect(bounderOf(other, '0').kind).toBe('server');
  expect(bounderOf(nothing, '-1')).toEqual({
    kind: 'nobody',
    why: 'this server archives nothing, and max_slot_wal_keep_size is not set',
  });
  expect(bounderOf(other, undefined)).toEqual({
    kind: 'nobody',
    why: 'this server archives by another program than cmd_archiver, and max_slot_wal_keep_size is not set',
  });
  expect(bounderOf({ ...ours, archiveLibrary: 'basic_archive' }, '-1').kind).toBe('nobody');
});
