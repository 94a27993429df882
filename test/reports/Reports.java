/*
 * Asks a database through JDBC, as tools in Java do: what a schema has, by its
 * metadata; the statements of a file, one a line; and one with parameters.
 *
 *     java -cp postgresql.jar Reports.java URL USER PASSWORD statements.sql
 *
 * Prints what is there, a line for each column of each view, then of each
 * statement its rows.
 */
import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.Statement;
import java.time.OffsetDateTime;

class Reports {
	public static void main(String[] args) throws Exception {
		try (Connection connection = DriverManager.getConnection(args[0], args[1], args[2])) {
			try (ResultSet columns = connection.getMetaData().getColumns(null, "loyalty_report", "%", "%")) {
				while (columns.next())
					System.out.printf("column\t%s.%s\t%s\t%s%n", columns.getString("TABLE_NAME"), columns.getString("COLUMN_NAME"),
							columns.getString("TYPE_NAME"), columns.getString("REMARKS") == null ? "no comment" : "comment");
			}
			for (String line : Files.readAllLines(Path.of(args[3]))) {
				if (line.isEmpty() || line.startsWith("--"))
					continue;
				System.out.println("statement");
				try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(line)) {
					print(rows);
				}
			}
			System.out.println("statement");
			// five times and more it is prepared on the server
			for (int i = 0; i < 8; i++) {
				try (PreparedStatement statement = connection.prepareStatement(
						"SELECT count(*), sum(points) FROM loyalty_report.fact_entry WHERE kind = ? AND points > ? AND posted_at >= ?")) {
					statement.setString(1, "accrue");
					statement.setBigDecimal(2, new BigDecimal("10.5"));
					statement.setObject(3, OffsetDateTime.parse("2020-01-01T00:00:00-06:00"));
					try (ResultSet rows = statement.executeQuery()) {
						if (i == 7)
							print(rows);
					}
				}
			}
		}
	}

	private static void print(ResultSet rows) throws Exception {
		int n = rows.getMetaData().getColumnCount();
		while (rows.next()) {
			StringBuilder row = new StringBuilder("row");
			for (int i = 1; i <= n; i++) {
				Object value = rows.getObject(i);
				row.append('\t').append(value == null ? "" : value instanceof BigDecimal ? ((BigDecimal) value).toPlainString() : rows.getString(i));
			}
			System.out.println(row);
		}
	}
}
