import { expect, test } from 'vitest';
import { faultsIn } from '../../../../src/standby/drill/amcheck.ts';

const old = `heap table "postgres.pg_catalog.pg_proc":
    ERROR:  function public.verify_heapam(relation => oid, on_error_stop => boolean, check_toast => boolean, skip => unknown) does not exist
    LINE 1: ...fnum, v.attnum, v.msg FROM pg_catalog.pg_class c, "public".v...
                                                                 ^
    HINT:  No function matches the given name and argument types. You might need to add explicit type casts.
`;
const damaged = `btree index "postgres.public.rows_pkey":
    ERROR:  item order invariant violated for index "rows_pkey"`;

test('a database with an extension amcheck that cannot look at tables is not damaged', () => {
  expect(faultsIn(`${old}${old}`)).toEqual({ faults: '', isOldExtension: true });
  expect(faultsIn(`${old}${damaged}\n${old}`)).toEqual({ faults: damaged, isOldExtension: true });
  expect(faultsIn(damaged)).toEqual({ faults: damaged, isOldExtension: false });
  expect(faultsIn('')).toEqual({ faults: '', isOldExtension: false });
});
