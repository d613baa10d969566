import { expect, test } from 'vitest';
import { capabilitiesOf } from '../../../../src/postgres/capabilities.ts';
import { parseVersion } from '../../../../src/postgres/version.ts';
import { drillParameters } from '../../../../src/standby/drill/parameters.ts';

const places = { pgdata: '/d/run/pgdata', sockets: '/d/run/s', preload: undefined };
const parametersOf = (release: string) => drillParameters(capabilitiesOf(parseVersion(release)), places);

test('a release gets only parameters that it knows, and a server with an unknown one would not start', () => {
  const old = parametersOf('8.4');
  expect(old.get('unix_socket_directory')).toBe('/d/run/s');
  expect([...old.keys()]).not.toContain('unix_socket_directories');
  expect([...old.keys()]).not.toContain('primary_conninfo');
  expect(old.get('stats_temp_directory')).toBe('pg_stat_tmp');
  const middle = parametersOf('12');
  expect(middle.get('recovery_end_command')).toBe('');
  expect(middle.get('promote_trigger_file')).toBe('');
  const newest = parametersOf('18');
  expect([...newest.keys()]).not.toContain('promote_trigger_file');
  expect([...newest.keys()]).not.toContain('stats_temp_directory');
  expect(newest.get('event_triggers')).toBe('off');
});

test.each(['8.4', '9.6', '11', '15', '18'])(
  'PostgreSQL %s reaches nobody and is reached by its socket alone',
  (release) => {
    const parameters = parametersOf(release);
    expect(parameters.get('listen_addresses')).toBe('');
    expect(parameters.get('archive_mode')).toBe('off');
    expect(parameters.get('shared_preload_libraries')).toBe('');
  },
);

test('libraries are loaded only if they are asked for', () => {
  const parameters = drillParameters(capabilitiesOf(parseVersion('15')), { ...places, preload: 'a,b' });
  expect(parameters.get('shared_preload_libraries')).toBe('a,b');
});
