import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { parseDuisRequest } from '#services/gateway/duis-request.ts';
import { MdrError } from '#core/errors.ts';
const srcs = [...readdirSync('/work/shared/duis/requests').map(f => '/work/shared/duis/requests/' + f), ...readdirSync('docs/using/examples').filter(f=>f.endsWith('.xml')).map(f=>'docs/using/examples/'+f)];
const VALUES = ['', ' ', '1', '-1', '0', '-0', '400', '-400', '-401', 'x', '2014-02-30', '2014-02-28', '2014-02-28Z', '2016-02-29T12:00:00Z','2014-12-31T24:00:00Z', '2014-12-31T24:00:01Z','2014-12-31T23:59:60Z', '2014-12-31T00:00:00', '2014-12-31T00:00:00.000000001Z','2014-12-31T00:00:00+14:00','2014-12-31T00:00:00-05:30','2014-12-31T00:00:00+15:00','2014-12-31T00:00Z', '2014-12-31T00:00:00z','00:00:00', '24:00:00','25:00:00','00:00:00.Z','12:30:15.125+01:00', '+5', '05', ' 8 ', '8.0', '3','9','10','ZGVm YXVsdA==','true','TRUE', '4.8', ' 4.8', '00-db-12-34-56-78-90-a0','00-DB-12-34-56-78-90-A', ' 00-DB-12-34-56-78-90-A0 ', '90-B3-D5-1F-30-01-00-00:00-DB-12-34-56-78-90-A0:01',' 90-b3-D5-1F-30-01-00-00:00-DB-12-34-56-78-90-A0:18446744073709551615\n','90-B3-D5-1F-30-01-00-00:00-DB-12-34-56-78-90-A0:18446744073709551616', '1000000000000','1000000000001', 'Daily', 'Yearly','daily', '<!-- c -->5', '<![CDATA[5]]>', '&#53;','abcdefghijklm','abcdefghijklmn','0001','123456789012','1234567890123', '99999999-01-01', '10000-01-01T00:00:00Z', '-0001-01-01T00:00:00Z','0000-01-01T00:00:00Z','1950-01-01T00:00:00Z'];
const C = ['Zg==','Zh==','ZGVm','ZGV','','Z m 9 v','====','Zm9v\nZm9v','Zm9vZg==','Zm9v=','?'];
const EXTRA = ['<sr:ExecutionDateTime>2014-12-31T00:00:00Z</sr:ExecutionDateTime>','<sr:FirstInSequence>1</sr:FirstInSequence>','<sr:FirstInSequence> false </sr:FirstInSequence>',...C.map(c=>`<sr:KAPublicSecurityCredentials>${c}</sr:KAPublicSecurityCredentials>`),...C.map(c=>`<sr:KAPublicSecurityCredential>${c}</sr:KAPublicSecurityCredential>`),'<sr:ScheduleEndDate>2020-01-01</sr:ScheduleEndDate>','<sr:ScheduleExecutionStartTime>00:00:00Z</sr:ScheduleExecutionStartTime>','<sr:PrecedingServiceRequestID>90-B3-D5-1F-30-01-00-00:00-DB-12-34-56-78-90-A0:1</sr:PrecedingServiceRequestID>','<sr:MPxN>1</sr:MPxN>','<sr:UPRN>1</sr:UPRN>','<x/>','text','<!-- c -->','<?pi x?>'];
const INV = ['<sr:PropertyFilter><sr:PostCode>AB12CD</sr:PostCode><sr:AddressIdentifier/></sr:PropertyFilter>','<sr:PropertyFilter><sr:PostCode>AB12C</sr:PostCode><sr:AddressIdentifier/></sr:PropertyFilter>',...['0','007','123456789012','1234567890123','+5',' 5 ','0000123456789012','5.0'].map(v=>`<sr:UPRN>${v}</sr:UPRN>`),'<sr:MPxN></sr:MPxN>','<sr:MPxN> </sr:MPxN>','<sr:MPxN>12345678901234</sr:MPxN>'];
const docs: string[] = [];
for (const src of srcs) {
  const t = readFileSync(src, 'utf8').replace(/<ds:Signature[\s\S]*<\/ds:Signature>/, '');
  for (const l of t.matchAll(/<sr:(\w+)>([^<]*\S[^<]*)<\/sr:\1>/g)) for (const v of VALUES) docs.push(t.slice(0, l.index) + `<sr:${l[1]}>${v}</sr:${l[1]}>` + t.slice(l.index + l[0].length));
  for (const g of [...t.matchAll(/>\s*</g)].slice(2)) for (const v of EXTRA) docs.push(t.slice(0, g.index + 1) + v + t.slice(g.index + 1));
  if (t.includes('ReadInventory')) for (const v of INV) docs.push(t.replace(/(<sr:ReadInventory>)[\s\S]*(<\/sr:ReadInventory>)/, `$1${v}$2`));
  for (const v of ['5.40','+5.4','5','.5','5.','','x','1e3',' 5.4 ']) docs.push(t.replace('schemaVersion="5.4"', `schemaVersion="${v}"`));
}
const files = docs.map((d, i) => { const f = `/tmp/diff/${i}.xml`; writeFileSync(f, d); return f; });
const valid = new Set<string>(); let out = '';
for (let i = 0; i < files.length; i += 4000) { const o = spawnSync('xmllint', ['--noout', '--nonet', '--schema', '/work/shared/duis/xsd/DUIS_Schema_V5.4.xsd', ...files.slice(i, i + 4000)], { encoding: 'utf8', maxBuffer: 1e9 }).stderr; out += o; for (const m of o.matchAll(/^(\/tmp\/diff\/\d+\.xml) validates$/gm)) valid.add(m[1]); }
const looser = new Map<string,string>(), stricter = new Map<string, string>(); let both = 0;
files.forEach((f, i) => {
  let ok = true, why = '';
  try { parseDuisRequest(f, new TextEncoder().encode(docs[i])); } catch (e) { if (!(e instanceof MdrError)) throw e; ok = false; const x = e.faults[0]; why = `${x.value} :: ${x.expected}`; }
  if (ok && !valid.has(f)) { const m = out.split(f + ':')[1]?.split('\n')[0] ?? '?'; looser.set(m.replace(/^\d+: /,'').slice(0,200), f); }
  if (!ok && valid.has(f)) stricter.set(why, f);
  if (ok && valid.has(f)) both++;
});
console.log({ n: files.length, valid: valid.size, both }); for (const [w, f] of looser) console.log('LOOSER', f, w); for (const [w, f] of stricter) console.log('STRICTER', f, w);
