/** A process that stores messages while there is no server, says so, and is killed. */
import { connect, outboxFolder } from '@pipit/client';

const [folder = '', url = ''] = process.argv.slice(2);
const client = connect(url, { outbox: outboxFolder(folder) });
for (let i = 0; i < 20; i++)
  await client.publish(`t/${i}`, `payload ${i}`, { qos: i % 2 === 0 ? 1 : 2, until: 'stored' });
console.log('stored');
