import java.nio.charset.StandardCharsets;
import java.util.*;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hbase.*;
import org.apache.hadoop.hbase.client.*;

/** For each line of its input a table: made, written to, read from, and every second one deleted. Says `done <line>`. */
public class HBaseWork {
    private static final byte[] FAMILY = "f".getBytes(StandardCharsets.UTF_8);

    public static void main(String[] arguments) throws Exception {
        Configuration configuration = HBaseConfiguration.create();
        try (Connection connection = ConnectionFactory.createConnection(configuration);
             Admin admin = connection.getAdmin();
             Scanner lines = new Scanner(System.in)) {
            while (lines.hasNextLine()) {
                String name = lines.nextLine();
                TableName table = TableName.valueOf("table-" + name);
                byte[] row = name.getBytes(StandardCharsets.UTF_8);
                admin.createTable(TableDescriptorBuilder.newBuilder(table).setColumnFamily(ColumnFamilyDescriptorBuilder.of(FAMILY)).build());
                try (Table opened = connection.getTable(table)) {
                    opened.put(new Put(row).addColumn(FAMILY, row, row));
                    if (!Arrays.equals(opened.get(new Get(row)).getValue(FAMILY, row), row)) {
                        throw new IllegalStateException("another value");
                    }
                }
                if (Integer.parseInt(name) % 2 == 1) {
                    admin.disableTable(table);
                    admin.deleteTable(table);
                }
                System.out.println("done " + name);
                System.out.flush();
            }
            List<String> tables = new ArrayList<>();
            for (TableName table : admin.listTableNames()) {
                tables.add(table.getNameAsString());
            }
            System.out.println("tables " + String.join(" ", tables));
        }
    }
}
